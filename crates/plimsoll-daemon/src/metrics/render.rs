//! Samples as Prometheus' text and as the JSON of Vault's `sys/metrics`.

use core::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::metrics::{Measured, Sample};

const QUANTILES: [&str; 3] = ["0.5", "0.9", "0.99"];

/// The dotted name with Vault's prefix, unless it is our own.
fn full_name(sample: &Sample) -> String {
    if sample.name.starts_with("plimsoll.") {
        sample.name.to_owned()
    } else {
        format!("vault.{}", sample.name)
    }
}

/// Prometheus' text format 0.0.4, with Vault's spelling: counters without
/// `_total`.
pub fn prometheus(samples: &[Sample]) -> String {
    let mut text = String::new();
    let mut previous = "";
    for sample in samples {
        let name = full_name(sample).replace(['.', '-'], "_");
        if sample.name != previous {
            let kind = match sample.value {
                Measured::Gauge(_) => "gauge",
                Measured::Counter(_) => "counter",
                Measured::Summary(_) => "summary",
            };
            let _ = writeln!(text, "# TYPE {name} {kind}");
            previous = sample.name;
        }
        // Writing to a String cannot fail.
        let _ = match &sample.value {
            Measured::Gauge(value) => writeln!(text, "{name}{} {value}", labels(sample)),
            Measured::Counter(value) => writeln!(text, "{name}{} {value}", labels(sample)),
            Measured::Summary(digest) => {
                for (quantile, value) in QUANTILES.iter().zip(digest.quantiles) {
                    let _ = writeln!(text, "{name}{{quantile=\"{quantile}\"}} {value}");
                }
                let _ = writeln!(text, "{name}_sum {}", digest.sum);
                writeln!(text, "{name}_count {}", digest.count)
            }
        };
    }
    text
}

fn labels(sample: &Sample) -> String {
    if sample.labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> =
        sample.labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    format!("{{{}}}", pairs.join(","))
}

/// What Vault's in-memory sink dumps.
pub fn json(samples: &[Sample], now: SystemTime) -> Value {
    let (mut gauges, mut counters, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples {
        let name = full_name(sample);
        let labels: Map<String, Value> =
            sample.labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        match &sample.value {
            Measured::Gauge(value) => {
                gauges.push(json!({ "Name": name, "Value": value, "Labels": labels }));
            }
            Measured::Counter(count) => counters.push(json!({
                "Name": name, "Count": count, "Rate": 0, "Sum": count, "Min": 1, "Max": 1,
                "Mean": 1, "Stddev": 0, "Labels": labels,
            })),
            Measured::Summary(digest) => {
                let mean = if digest.count == 0 { 0.0 } else { digest.sum / digest.count as f64 };
                summaries.push(json!({
                    "Name": name, "Count": digest.count, "Rate": 0, "Sum": digest.sum,
                    "Min": digest.quantiles[0], "Max": digest.quantiles[2], "Mean": mean,
                    "Stddev": 0, "Labels": labels,
                }));
            }
        }
    }
    json!({
        "Timestamp": rfc3339(now),
        "Gauges": gauges,
        "Points": [],
        "Counters": counters,
        "Samples": summaries,
    })
}
