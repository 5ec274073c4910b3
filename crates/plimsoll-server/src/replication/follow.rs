//! Following: every group of the primary's, in order, for as long as both live.
//!
//! Groups are handed to the store as they come and acknowledged when they are on disk
//! and visible; a hundred may be under way. Whatever breaks, the connection is made
//! anew and goes on after the last group that is here. Two things end it for good: the
//! two were not told the same, or the primary does not know this secondary.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use plimsoll_daemon::clock;
use plimsoll_store::Revision;
use plimsoll_store::ship::{FollowError, Shipment};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::backup::{Outgoing, byte_channel};
use crate::replication::Replication;
use crate::replication::api::ApiError;
use crate::replication::client::{Link, said};
use crate::replication::local::Replica;
use crate::replication::serve::STREAM_PATH;
use crate::replication::status::State;
use crate::replication::wire::{Frame, Frames, stands_alone};
use crate::stack::Stack;

/// Groups that were handed over and are not on disk yet.
const UNDER_WAY_MAX: usize = 128;
/// A primary that says nothing for so long has gone.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between attempts: doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Free on the disk: a segment of the log, and what the state takes meanwhile. Below the
/// floor of the disk's gate, so that what the primary deletes to make room gets through.
const FREE_BYTES_MIN: u64 = 88 << 20;
/// Acknowledgements on their way.
const ACKS_MAX: usize = 256;

/// How following ended.
enum End {
    /// The log of the primary does not go back to here.
    Recycled,
    /// An operator has to decide.
    Final(String),
    /// Try again.
    Broken(String),
}

type Outcome = Result<Revision, FollowError>;
type Answer = Result<Outcome, oneshot::error::RecvError>;
type UnderWay = VecDeque<oneshot::Receiver<Outcome>>;

impl Replication {
    /// Follows, or first becomes a copy, until the role is laid down.
    pub(super) fn take_up_following(self: &Arc<Self>, replica: &Replica) -> Result<(), ApiError> {
        let certified = replica.certified(&self.stacks.current().shared.vault)?;
        let link =
            |handle| Link::new(&replica.address, &replica.ca, &replica.id, &certified, handle);
        let ours = Arc::new(link(self.handle.clone())?);
        // Requests do not run where groups are applied.
        self.following.link.store(Some(Arc::new(link(self.requests.clone())?)));
        let (replication, replica, role) = (Arc::clone(self), replica.clone(), self.role_token());
        self.handle.spawn(async move {
            tokio::select! {
                () = role.cancelled() => {}
                () = replication.follow(&ours, &replica, &role) => {}
            }
            replication.following.forget_pending();
        });
        Ok(())
    }

    async fn follow(self: &Arc<Self>, link: &Link, replica: &Replica, role: &CancellationToken) {
        let mut retry = RETRY_MIN;
        while !role.is_cancelled() {
            let is_copy = self.stacks.current().shared.vault.is_following();
            let before = self.stacks.current().store.position().0;
            let end = match (self.room(), is_copy) {
                (Err(end), _) => end,
                (Ok(()), true) => self.stream(link).await,
                (Ok(()), false) => End::Recycled,
            };
            let end = match end {
                End::Recycled => match self.bootstrap(link, replica).await {
                    Ok(()) => {
                        retry = RETRY_MIN;
                        continue;
                    }
                    Err(ApiError::Primary(StatusCode::FORBIDDEN, why)) => End::Final(why),
                    Err(error) => End::Broken(error.to_string()),
                },
                end => end,
            };
            match end {
                End::Final(why) => return self.following.set_state(State::Failed(why)),
                End::Broken(why) => self.following.set_state(State::Disconnected(why)),
                End::Recycled => {}
            }
            if self.stacks.current().store.position().0 > before {
                retry = RETRY_MIN;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// A store whose disk is full stops for good; one that waits goes on by itself.
    fn room(&self) -> Result<(), End> {
        let free = self.stacks.current().shared.gates.machine.disk.free_bytes();
        match free < FREE_BYTES_MIN {
            true => Err(End::Broken(format!(
                "the disk here has {free} bytes left: nothing is followed below {FREE_BYTES_MIN}"
            ))),
            false => Ok(()),
        }
    }

    async fn stream(&self, link: &Link) -> End {
        self.following.forget_pending();
        let stack = self.stacks.current();
        let (after, history) = stack.store.position();
        let mut sender = match link.open().await {
            Ok(sender) => sender,
            Err(error) => return End::Broken(error.to_string()),
        };
        let (acks, body) = byte_channel(ACKS_MAX);
        let path = format!("{STREAM_PATH}?after={after}&history={history}");
        let request = link.request(Method::POST, &path, Outgoing::Stream(body));
        let response = match tokio::time::timeout(SILENCE_MAX, sender.send_request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return End::Broken(error.to_string()),
            Err(_) => return End::Broken("the primary does not answer".to_owned()),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return End::Recycled,
            StatusCode::CONFLICT | StatusCode::FORBIDDEN => {
                return End::Final(said(response).await.1);
            }
            _ => return End::Broken(said(response).await.1),
        }
        self.following.set_state(State::Streaming);
        let mut follower = Follower { replication: self, stack, acks, under_way: UnderWay::new() };
        match follower.run(response.into_body()).await {
            Ok(()) => End::Broken("the primary has ended the connection".to_owned()),
            Err(end) => end,
        }
    }
}

struct Follower<'r> {
    replication: &'r Replication,
    stack: Arc<Stack>,
    acks: mpsc::Sender<io::Result<Bytes>>,
    under_way: UnderWay,
}

impl Follower<'_> {
    async fn run(&mut self, mut body: hyper::body::Incoming) -> Result<(), End> {
        let mut frames = Frames::default();
        loop {
            let room = self.under_way.len() < UNDER_WAY_MAX;
            tokio::select! {
                biased;
                applied = next_applied(&mut self.under_way) => self.applied(applied).await?,
                piece = tokio::time::timeout(SILENCE_MAX, body.frame()), if room => {
                    let silent = |_| End::Broken("the primary is silent".to_owned());
                    let Some(piece) = piece.map_err(silent)? else { return Ok(()) };
                    let piece = piece.map_err(|error| End::Broken(error.to_string()))?;
                    frames.push(piece.data_ref().map_or(&[], |data| data));
                    self.take(&mut frames).await?;
                }
            }
        }
    }

    /// Hands over what has come.
    async fn take(&mut self, frames: &mut Frames) -> Result<(), End> {
        let broken = |error: io::Error| End::Broken(error.to_string());
        while let Some((frame, wall)) = frames.next().map_err(broken)? {
            let following = &self.replication.following;
            match frame {
                Frame::Heartbeat { revision, history } => {
                    following.heard(revision, wall, clock::unix());
                    let (here, ours) = self.stack.store.position();
                    if here == revision && ours != history {
                        return Err(End::Final(format!(
                            "diverged at revision {here}: the primary's digest is {history}, the \
                             one here {ours}"
                        )));
                    }
                    following.applied(here, self.stack.store.now());
                }
                Frame::Group(shipment) => {
                    self.replication.room()?;
                    following.heard(shipment.last_revision(), wall, clock::unix());
                    self.hand_over(shipment).await?;
                }
            }
        }
        Ok(())
    }

    async fn hand_over(&mut self, shipment: Shipment) -> Result<(), End> {
        let (last, bytes) = (shipment.last_revision(), shipment.payload.len() as u64);
        self.replication.following.received(last, bytes);
        let alone = stands_alone(&shipment);
        self.under_way.push_back(self.stack.store.follow(shipment));
        if alone {
            while let Some(answer) = self.under_way.pop_front() {
                let answer = answer.await;
                self.applied(answer).await?;
            }
            let refreshed = self.stack.shared.vault.refresh();
            refreshed.map_err(|error| End::Broken(error.to_string()))?;
        }
        Ok(())
    }

    /// A group is on disk and visible, or never will be; and so are those that shared
    /// its sync: one acknowledgement stands for all.
    async fn applied(&mut self, answer: Answer) -> Result<(), End> {
        let mut revision = visible(answer)?;
        while let Some(answer) = self.under_way.front_mut().and_then(ready) {
            self.under_way.pop_front();
            revision = visible(answer)?;
        }
        self.replication.following.applied(revision, self.stack.store.now());
        let ack = Bytes::copy_from_slice(&revision.to_le_bytes());
        let gone = |_| End::Broken("the primary has gone".to_owned());
        self.acks.send(Ok(ack)).await.map_err(gone)
    }
}

fn visible(answer: Answer) -> Result<Revision, End> {
    let stopped = |_| End::Broken("the store has stopped".to_owned());
    answer.map_err(stopped)?.map_err(|error| match error {
        FollowError::Diverged { .. } => End::Final(error.to_string()),
        error => End::Broken(error.to_string()),
    })
}

fn ready(first: &mut oneshot::Receiver<Outcome>) -> Option<Answer> {
    first.try_recv().ok().map(Ok)
}

async fn next_applied(under_way: &mut UnderWay) -> Answer {
    match under_way.front_mut() {
        Some(first) => {
            let answer = first.await;
            under_way.pop_front();
            answer
        }
        None => std::future::pending().await,
    }
}
