//! The store alone: 128 writers in a closed loop, against a bare log with a map
//! in memory on the same disk.
//!
//! ```text
//! cargo run --release -p plimsoll-store --example store_bench -- \
//!     [--keys N] [--seconds S] [--slice S] [--writers W] [--value BYTES] [--dir DIR] [--no-peer]
//! ```
//!
//! Each is a process of its own: first the peer, for half of the time, then the
//! store, then the peer for the other half, so that both meet the same neighbours. (The
//! store is never stopped: its debt gate would take the pause for a slow disk.) Prints
//! what each slice brought, then for the last third the rates, the processor time of a
//! put and the ratio, and of the whole run the longest gap between two commits of the
//! store and its largest resident memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plimsoll::{Class, Cost, Demand, Event, Flow, Observer};
use plimsoll_store::{LogStore, OpenOptions, Store, StoreError, Transact, Txn};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::oneshot;

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone, Debug)]
struct Args {
    keys: u64,
    seconds: u64,
    slice: u64,
    writers: u64,
    value: usize,
    dir: PathBuf,
    peer: bool,
    /// Be one of the two, on orders from standard input.
    only: Option<String>,
}

fn main() {
    let args = parse();
    match args.only.as_deref() {
        Some("store") => {
            let meter = Arc::new(Meter::default());
            let engine = Engine::open(&args.dir.join("store"), Arc::clone(&meter));
            obey(&args, Arc::new(engine), &meter);
        }
        Some(_) => {
            let bare = BareLog::open(&args.dir.join("bare"));
            obey(&args, Arc::new(bare), &Meter::default());
        }
        None => compare(&args),
    }
}

fn parse() -> Args {
    let dir = std::env::temp_dir().join(format!("store-bench-{}", std::process::id()));
    let (keys, seconds, slice, writers, value) = (1_000_000, 90, 10, 128, 512);
    let mut args = Args { keys, seconds, slice, writers, value, dir, peer: true, only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().expect("a value after the option");
        match word.as_str() {
            "--keys" => args.keys = next().parse().unwrap(),
            "--seconds" => args.seconds = next().parse().unwrap(),
            "--slice" => args.slice = next().parse().unwrap(),
            "--writers" => args.writers = next().parse().unwrap(),
            "--value" => args.value = next().parse().unwrap(),
            "--dir" => args.dir = next().into(),
            "--no-peer" => args.peer = false,
            "--only" => args.only = Some(next()),
            other => panic!("unknown option {other}"),
        }
    }
    args
}

/// The peer, the store, and the peer again.
fn compare(args: &Args) {
    println!("{args:?}");
    let slices = args.seconds.div_ceil(args.slice) as usize;
    let third = (slices / 3).max(1);
    let mut bare = args.peer.then(|| Side::start("bare", &args.dir));
    let mut before_and_after = Vec::new();
    let mut run_peer = |slices: usize| {
        if let Some(bare) = &mut bare {
            bare.signal("CONT");
            (0..slices).for_each(|_| bare.run(Duration::from_secs(args.slice)));
            bare.signal("STOP");
            before_and_after.extend(bare.slices.iter().rev().take(third.div_ceil(2)).copied());
        }
    };
    run_peer(slices.div_ceil(2));
    let mut store = Side::start("store", &args.dir);
    (0..slices).for_each(|_| store.run(Duration::from_secs(args.slice)));
    let rate = summary("store", store.slices.iter().rev().take(third));
    let now = store.now.clone();
    drop(store);
    run_peer(slices / 2);
    if args.peer {
        println!("ratio {:.2}", rate / summary("bare", before_and_after.iter()));
    }
    println!("longest gap between commits: {} ms", now.gap_max_ms);
    println!("resident memory at most: {} MiB", now.rss_max_mib);
    drop(bare);
    let _ = std::fs::remove_dir_all(&args.dir);
}

/// Prints and returns the rate of some slices.
fn summary<'a>(name: &str, slices: impl Iterator<Item = &'a Slice>) -> f64 {
    let (mut done, mut cpu_us, mut seconds) = (0.0, 0.0, 0.0);
    for slice in slices {
        done += slice.done as f64;
        cpu_us += slice.cpu_us as f64;
        seconds += slice.seconds;
    }
    let rate = done / seconds;
    println!("{name}: {rate:.0}/s over the last third, {:.1} us of processor each", cpu_us / done);
    rate
}

/// One of the two.
struct Side {
    name: &'static str,
    child: Child,
    answers: BufReader<ChildStdout>,
    now: Mark,
    slices: Vec<Slice>,
}

/// What a side has done so far.
#[derive(Clone, Default)]
struct Mark {
    done: u64,
    cpu_us: u64,
    gap_max_ms: u64,
    rss_max_mib: u64,
    report: String,
}

#[derive(Clone, Copy)]
struct Slice {
    done: u64,
    cpu_us: u64,
    seconds: f64,
}

impl Side {
    fn start(name: &'static str, dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(std::env::args_os().skip(1))
            .args(["--only", name, "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut side = Self { name, child, answers, now: Mark::default(), slices: Vec::new() };
        side.now = side.mark();
        side
    }

    fn run(&mut self, slice: Duration) {
        let (before, started) = (self.mark(), Instant::now());
        thread::sleep(slice);
        let seconds = started.elapsed().as_secs_f64();
        self.now = self.mark();
        let (done, cpu_us) = (self.now.done - before.done, self.now.cpu_us - before.cpu_us);
        let (rate, cpu) = (done as f64 / seconds, cpu_us as f64 / done.max(1) as f64);
        self.slices.push(Slice { done, cpu_us, seconds });
        println!("{:5}: {rate:7.0}/s, {cpu:5.1} us of processor; {}", self.name, self.now.report);
    }

    fn mark(&mut self) -> Mark {
        self.child.stdin.as_mut().unwrap().write_all(b"mark\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let mut words = line.trim().splitn(5, ' ');
        let mut number = || words.next().unwrap().parse().unwrap();
        let (done, cpu_us, gap_max_ms, rss_max_mib) = (number(), number(), number(), number());
        let report = words.next().unwrap_or_default().to_owned();
        Mark { done, cpu_us, gap_max_ms, rss_max_mib, report }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        Command::new("kill").args([format!("-{name}"), pid]).status().unwrap();
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is measured: one durable put.
trait Target: Send + Sync + 'static {
    fn put(&self, key: Bytes, value: Bytes) -> impl Future<Output = bool> + Send;
    fn report(&self) -> String;
}

/// Drives a target, and says how far it is whenever it is asked.
fn obey<T: Target>(args: &Args, target: Arc<T>, meter: &Meter) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let done = Arc::new(AtomicU64::new(0));
    for writer in 0..args.writers {
        let (target, done) = (Arc::clone(&target), Arc::clone(&done));
        let (keys, value) = (args.keys, args.value);
        runtime.spawn(async move {
            let mut rng = SmallRng::seed_from_u64(writer);
            let mut value = vec![0; value];
            loop {
                rng.fill(&mut value[..]);
                let key = Bytes::from(format!("secret/data/{:018}", rng.random_range(0..keys)));
                let value = Bytes::copy_from_slice(&value);
                while !target.put(key.clone(), value.clone()).await {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in std::io::stdin().lines() {
        println!(
            "{} {} {} {} {} rss {} MiB",
            done.load(Ordering::Relaxed),
            cpu_us(),
            meter.gap_max.load(Ordering::Relaxed) / 1_000_000,
            status_mib("VmHWM:"),
            target.report(),
            status_mib("VmRSS:"),
        );
    }
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
            "{commits:5} commits, flush {:4} us ({:4} ms at most), work {:4} us, gap {:4} ms, \
             debt {:3} MiB, drain {:3.0} MiB/s, refused {}",
            flush / 1000,
            self.meter.flush_max.swap(0, Ordering::Relaxed) / 1_000_000,
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
    flush_max: AtomicU64,
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
        self.flush_max.fetch_max(sample.flush.as_nanos() as u64, Ordering::Relaxed);
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
    fn open(dir: &Path) -> Self {
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

fn status_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) >> 10
}

/// Processor time of this process so far, in microseconds; the clock ticks at 100 Hz.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10_000
}
