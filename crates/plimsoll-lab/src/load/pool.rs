//! The idle connections of one flow.

use std::{
    cell::RefCell,
    io,
    net::{IpAddr, SocketAddr},
};

use crate::wire::{Answer, Connection};

/// Last in, first out: after a storm the spare connections stay at the bottom.
#[derive(Debug)]
pub(super) struct Pool {
    server: SocketAddr,
    source: Option<IpAddr>,
    idle: RefCell<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(server: SocketAddr, source: Option<IpAddr>) -> Self {
        Self { server, source, idle: RefCell::default() }
    }

    /// Sends on an idle connection, or on a new one if there is none.
    ///
    /// A request is sent once. If the future is dropped, so is its connection.
    pub(super) async fn exchange(&self, request: &[u8]) -> io::Result<Answer> {
        let mut connection = match self.fresh() {
            Some(connection) => connection,
            None => Connection::open(self.server, self.source).await?,
        };
        let answer = connection.exchange(request, None).await?;
        if answer.keep_alive {
            self.idle.borrow_mut().push(connection);
        }
        Ok(answer)
    }

    /// An idle connection that the server has not closed meanwhile.
    fn fresh(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_fresh)
    }
}
