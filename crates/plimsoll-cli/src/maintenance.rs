//! `plimsoll maintenance`: windows of a running server, through its API.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value};

use crate::operator::{ServerAddress, api};

const PATH: &str = "sys/maintenance";

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct MaintenanceArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Close now.
    Start {
        #[command(flatten)]
        server: ServerAddress,
        #[command(flatten)]
        window: Window,
    },
    /// Announce a window that begins later.
    Schedule {
        #[command(flatten)]
        server: ServerAddress,
        /// When: 2026-01-31T22:00:00Z, or seconds since 1970.
        #[arg(long)]
        begin: String,
        #[command(flatten)]
        window: Window,
    },
    /// What is announced.
    Status {
        #[command(flatten)]
        server: ServerAddress,
    },
    /// End the window, or take its announcement back.
    End {
        #[command(flatten)]
        server: ServerAddress,
    },
}

#[derive(Debug, Args)]
struct Window {
    /// full, writes, percentage or retired.
    #[arg(long, default_value = "full")]
    mode: String,
    /// How many of a hundred requests are refused, with --mode percentage.
    #[arg(long)]
    percentage: Option<u64>,
    /// Until when, as --begin; open unless given.
    #[arg(long, conflicts_with = "duration")]
    end: Option<String>,
    /// For how long: 90s, 30m, 2h.
    #[arg(long)]
    duration: Option<String>,
    /// Told to every client.
    #[arg(long)]
    reason: Option<String>,
    /// Where people find out more, instead of the server's own /status.
    #[arg(long, value_name = "URL")]
    status_page: Option<String>,
}

impl Window {
    fn body(self, begin: Option<String>) -> Value {
        let texts = [
            ("mode", Some(self.mode)),
            ("begin", begin),
            ("end", self.end),
            ("duration", self.duration),
            ("reason", self.reason),
            ("status_page", self.status_page),
        ];
        let texts =
            texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
        let mut body: Map<String, Value> = texts.collect();
        body.extend(self.percentage.map(|share| ("percentage".to_owned(), share.into())));
        body.into()
    }
}

#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn run(args: MaintenanceArgs) -> anyhow::Result<()> {
    let told = match args.action {
        Action::Start { server, window } => {
            api::call(&server, Method::POST, PATH, &window.body(None))?
        }
        Action::Schedule { server, begin, window } => {
            api::call(&server, Method::POST, PATH, &window.body(Some(begin)))?
        }
        Action::Status { server } => api::call(&server, Method::GET, PATH, &Value::Null)?,
        Action::End { server } => api::call(&server, Method::DELETE, PATH, &Value::Null)?,
    };
    if let Value::Object(data) = &told["data"] {
        for (name, value) in data {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !value.is_null() && !text.is_empty() {
                println!("{name}: {text}");
            }
        }
    }
    Ok(())
}
