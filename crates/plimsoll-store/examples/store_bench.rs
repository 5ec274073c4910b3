//! The store alone: 128 writers in a closed loop, against a bare log with a map
//! in memory on the same disk.
//!
//! ```text
//! cargo run --release -p plimsoll-store --example store_bench -- \
//!     [--keys N] [--seconds S] [--writers W] [--value BYTES] [--dir DIR] [--no-peer]
//! ```
//!
//! Prints transactions per second for every second, then the rate of the last
//! third, the longest gap between two commits, and the largest resident memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plimsoll::{Class, Cost, Demand, Event, Flow, Observer};
use plimsoll_store::{LogStore, OpenOptions, Store, StoreError, Transact, Txn};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;

#[derive(Clone, Debug)]
struct Args {
    keys: u64,
    seconds: u64,
    writers: u64,
    value: usize,
    dir: PathBuf,
    peer: bool,
}

fn main() {
    let args = parse();
    println!("{args:?}");
    println!("store");
    let meter = Arc::new(Meter::default());
    let store = run(&args, Arc::new(Engine::open(&args.dir.join("store"), Arc::clone(&meter))));
    let gap = Duration::from_nanos(meter.gap_max.load(Ordering::Relaxed));
    println!("longest gap between commits: {:.0} ms", gap.as_secs_f64() * 1e3);
    println!("resident memory at most: {} MiB", resident_max_mib());
    println!("store: {store:.0}/s over the last third");
    if args.peer {
        println!("bare log with a map in memory");
        let peer = run(&args, Arc::new(BareLog::open(&args.dir.join("bare"), &args)));
        println!("bare log: {peer:.0}/s over the last third; ratio {:.2}", store / peer);
    }
}

fn parse() -> Args {
    let dir = std::env::temp_dir().join(format!("store-bench-{}", std::process::id()));
    let mut args = Args { keys: 1_000_000, seconds: 90, writers: 128, value: 512, dir, peer: true };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a value after the option");
        match word.as_str() {
            "--keys" => args.keys = next().parse().unwrap(),
            "--seconds" => args.seconds = next().parse().unwrap(),
            "--writers" => args.writers = next().parse().unwrap(),
            "--value" => args.value = next().parse().unwrap(),
            "--dir" => args.dir = next().into(),
            "--no-peer" => args.peer = false,
            other => panic!("unknown option {other}"),
        }
    }
    args
}

/// What is measured: one durable put.
trait Target: Send + Sync + 'static {
    fn put(&self, key: Bytes, value: Bytes) -> impl Future<Output = bool> + Send;
    fn report(&self) -> String;
}

/// Drives it and returns the rate over the last third of the time.
fn run<T: Target>(args: &Args, target: Arc<T>) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    for writer in 0..args.writers {
        let (target, done, stop) = (Arc::clone(&target), Arc::clone(&done), Arc::clone(&stop));
        let (keys, value) = (args.keys, args.value);
        runtime.spawn(async move {
            let mut rng = SmallRng::seed_from_u64(writer);
            let mut value = vec![0; value];
            while !stop.load(Ordering::Relaxed) {
                rng.fill(&mut value[..]);
                let key = Bytes::from(format!("secret/data/{:018}", rng.random_range(0..keys)));
                let value = Bytes::copy_from_slice(&value);
                while !stop.load(Ordering::Relaxed) {
                    if target.put(key.clone(), value.clone()).await {
                        done.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        });
    }
    let (mut last, mut mark) = (0, (0, started));
    for second in 1..=args.seconds {
        thread::sleep(
            (started + Duration::from_secs(second)).saturating_duration_since(Instant::now()),
        );
        let total = done.load(Ordering::Relaxed);
        println!(
            "{second:4} s {:8}/s  {}  rss {} MiB",
            total - last,
            target.report(),
            status_mib("VmRSS:")
        );
        last = total;
        if second == args.seconds - args.seconds / 3 {
            mark = (total, Instant::now());
        }
    }
    let rate = (done.load(Ordering::Relaxed) - mark.0) as f64 / mark.1.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    runtime.shutdown_timeout(Duration::from_secs(5));
    rate
}

/// The store, with the debt gate and the write gate in front of it.
struct Engine {
    store: LogStore,
    admission: Arc<dyn plimsoll::write::Admission>,
    meter: Arc<Meter>,
    refused: AtomicU64,
}

impl Engine {
    fn open(dir: &Path, meter: Arc<Meter>) -> Self {
        let mut options = OpenOptions::new(dir).unwrap();
        options.observer = Arc::clone(&meter) as Arc<dyn Observer>;
        let store = LogStore::open(options).unwrap();
        let admission = store.admission();
        Self { store, admission, meter, refused: AtomicU64::new(0) }
    }
}

impl Target for Engine {
    async fn put(&self, key: Bytes, value: Bytes) -> bool {
        let bytes = (key.len() + value.len()) as u64;
        let flow = Flow(u64::from(key[key.len() - 1]));
        let demand = Demand { class: Class::Normal, flow, cost: Cost::item(bytes), deadline: None };
        let Ok(place) = self.admission.admit(self.store.now(), &demand) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let txn = Txn { puts: vec![(key, value)], ..Txn::default() };
        let decide = Box::new(|_: &dyn plimsoll_store::View| Err(StoreError::Conflict));
        let answer = self.store.submit(Transact { txn, decide, place: Some(place) }).await;
        match answer.unwrap() {
            Ok(_) => true,
            Err(StoreError::Rejected(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn report(&self) -> String {
        let debt = self.store.debt();
        let commits = self.meter.commits.swap(0, Ordering::Relaxed).max(1);
        let flush = self.meter.flush.swap(0, Ordering::Relaxed) / commits;
        let work = self.meter.work.swap(0, Ordering::Relaxed) / commits;
        format!(
            "{commits:5} commits, flush {:4} us, work {:4} us, gap {:4} ms, debt {:3} MiB, \
             drain {:3.0} MiB/s, refused {}",
            flush / 1000,
            work / 1000,
            self.meter.gap.swap(0, Ordering::Relaxed) / 1_000_000,
            debt.bytes >> 20,
            debt.drain_bytes_per_second / f64::from(1 << 20),
            self.refused.swap(0, Ordering::Relaxed),
        )
    }
}

/// The commits as the gate's observer sees them.
#[derive(Debug, Default)]
struct Meter {
    last: Mutex<Option<Instant>>,
    gap: AtomicU64,
    gap_max: AtomicU64,
    commits: AtomicU64,
    flush: AtomicU64,
    work: AtomicU64,
}

impl Observer for Meter {
    fn event(&self, event: &Event) {
        let Event::Committed(sample) = event else { return };
        let now = Instant::now();
        if let Some(last) = self.last.lock().unwrap().replace(now) {
            let gap = now.duration_since(last).as_nanos() as u64;
            self.gap.fetch_max(gap, Ordering::Relaxed);
            self.gap_max.fetch_max(gap, Ordering::Relaxed);
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.flush.fetch_add(sample.flush.as_nanos() as u64, Ordering::Relaxed);
        self.work.fetch_add(sample.work.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// The peer: group commit into two zeroed files in turn, and a map. It never has
/// to move anything anywhere.
struct BareLog {
    queue: Arc<(Mutex<Queue>, Condvar)>,
}

type Put = (Bytes, Bytes, oneshot::Sender<()>);

#[derive(Default)]
struct Queue {
    waiting: Vec<Put>,
    closed: bool,
}

impl BareLog {
    fn open(dir: &Path, _: &Args) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let bytes = 64 << 20;
        let files: Vec<File> = (0..2)
            .map(|n| {
                let options = &mut File::options();
                let file = options.read(true).write(true).create(true).truncate(true);
                let file = file.open(dir.join(format!("{n}"))).unwrap();
                let zeros = vec![0; 1 << 20];
                (0..bytes / zeros.len() as u64)
                    .for_each(|n| file.write_all_at(&zeros, n << 20).unwrap());
                file.sync_all().unwrap();
                file
            })
            .collect();
        let queue = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        let shared = Arc::clone(&queue);
        thread::spawn(move || commit_bare(&shared, &files, bytes));
        Self { queue }
    }
}

fn commit_bare(queue: &(Mutex<Queue>, Condvar), files: &[File], bytes: u64) {
    let (mutex, filled) = queue;
    let mut map = BTreeMap::new();
    let (mut file, mut at, mut batch, mut buffer) = (0, 0, Vec::new(), Vec::new());
    loop {
        let mut queue = mutex.lock().unwrap();
        while queue.waiting.is_empty() && !queue.closed {
            queue = filled.wait(queue).unwrap();
        }
        if queue.closed {
            return;
        }
        std::mem::swap(&mut batch, &mut queue.waiting);
        drop(queue);
        buffer.clear();
        for (key, value, _) in &batch {
            buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
            buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(value);
        }
        let crc = crc32c::crc32c(&buffer);
        buffer.extend_from_slice(&crc.to_le_bytes());
        buffer.resize(buffer.len().next_multiple_of(4096), 0);
        if at + buffer.len() as u64 > bytes {
            (file, at) = (1 - file, 0);
        }
        files[file].write_all_at(&buffer, at).unwrap();
        files[file].sync_data().unwrap();
        at += buffer.len() as u64;
        for (key, value, reply) in batch.drain(..) {
            map.insert(key, value);
            let _ = reply.send(());
        }
    }
}

impl Target for BareLog {
    async fn put(&self, key: Bytes, value: Bytes) -> bool {
        let (sender, receiver) = oneshot::channel();
        self.queue.0.lock().unwrap().waiting.push((key, value, sender));
        self.queue.1.notify_one();
        receiver.await.is_ok()
    }

    fn report(&self) -> String {
        String::new()
    }
}

impl Drop for BareLog {
    fn drop(&mut self) {
        self.queue.0.lock().unwrap().closed = true;
        self.queue.1.notify_one();
    }
}

/// The largest resident memory since the start.
fn resident_max_mib() -> u64 {
    status_mib("VmHWM:")
}

fn status_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) >> 10
}
