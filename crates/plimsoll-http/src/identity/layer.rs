//! The layer and the service it makes.

use core::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Extensions, HeaderMap, Response};
use tower_layer::Layer;

use crate::body::Unread;
use crate::identity::client::{CREDENTIALS, Client};
use crate::identity::forwarding::{Forwarding, ForwardingError};
use crate::refusal::{Face, ProblemFace, respond};
use crate::rule::{Rule, Ruled};

/// Finds the peer's address among a request's extensions.
type PeerOf = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

/// Finds out who is asking, and leaves a [`Client`] in the extensions.
#[derive(Clone)]
pub struct IdentityLayer {
    peer: Arc<PeerOf>,
    forwarding: Arc<Forwarding>,
    face: Arc<dyn Face>,
}

impl IdentityLayer {
    /// `peer` is where the server in use keeps the address of the other end.
    /// Nobody is believed to ask for somebody else.
    pub fn new(peer: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self {
            peer: Arc::new(peer),
            forwarding: Arc::default(),
            face: Arc::new(ProblemFace::default()),
        }
    }

    /// Believes these proxies.
    #[must_use]
    pub fn trusting(self, forwarding: Forwarding) -> Self {
        Self { forwarding: Arc::new(forwarding), ..self }
    }

    /// Refuses what is malformed with this face.
    #[must_use]
    pub fn with_face(self, face: Arc<dyn Face>) -> Self {
        Self { face, ..self }
    }

    fn identify(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<Client, ForwardingError> {
        let peer = (self.peer)(extensions).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let peer = peer.to_canonical();
        let has_credential = CREDENTIALS.iter().any(|name| headers.contains_key(name));
        Ok(Client { address: self.forwarding.client(peer, headers)?, peer, has_credential })
    }
}

impl fmt::Debug for IdentityLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityLayer")
            .field("forwarding", &self.forwarding)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for IdentityLayer {
    type Service = Identity<S>;

    fn layer(&self, inner: S) -> Identity<S> {
        Ruled::new(inner, self)
    }
}

/// A service that knows who is asking.
pub type Identity<S> = Ruled<S, IdentityLayer>;

impl Rule for IdentityLayer {
    type Passed = ();

    fn admit<R: From<Bytes>>(&self, parts: &mut Parts, unread: Unread) -> Result<(), Response<R>> {
        let client = self.identify(&parts.extensions, &parts.headers);
        let client = client.map_err(|error| {
            respond(&*self.face, &parts.headers, error, unread.must_close(&parts.headers))
        })?;
        parts.extensions.insert(client);
        Ok(())
    }
}
