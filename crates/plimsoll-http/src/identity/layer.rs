//! The layer and the service it makes.

use core::fmt;
use core::task::{Context, Poll};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, HeaderName, Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::Answer;
use crate::identity::client::Client;
use crate::identity::forwarding::{Forwarding, ForwardingError};
use crate::refusal::{Face, ProblemFace, respond};

/// Finds the peer's address among a request's extensions.
type PeerOf = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

/// Headers in which credentials come.
const CREDENTIALS: [HeaderName; 2] =
    [http::header::AUTHORIZATION, HeaderName::from_static("x-vault-token")];

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
        Identity { inner, layer: self.clone() }
    }
}

/// A service that knows who is asking.
#[derive(Clone, Debug)]
pub struct Identity<S> {
    inner: S,
    layer: IdentityLayer,
}

impl<S, B, R> Service<Request<B>> for Identity<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.layer.identify(request.extensions(), request.headers()) {
            Ok(client) => {
                request.extensions_mut().insert(client);
                Answer::called(self.inner.call(request))
            }
            Err(error) => {
                let unread = !request.body().is_end_stream();
                Answer::refused(respond(&*self.layer.face, request.headers(), error, unread))
            }
        }
    }
}
