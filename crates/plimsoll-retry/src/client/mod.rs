//! A small ready client: hyper, rustls, retries.

mod answer;
mod error;

use core::fmt;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_layer::Layer;
use tower_service::Service;

use self::answer::ReadRefusals;
use crate::layer::{RetryLayer, RetryService};
use crate::retry::{Attempts, Retry};

pub use self::answer::RESPONSE_BYTES_MAX;
pub use self::error::ClientError;

type Hyper = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// An HTTP client for one server that retries. Clones share connections, budget
/// and holds.
///
/// HTTP/1.1 and HTTP/2, plain or with TLS. It follows no redirects, keeps no
/// cookies and decompresses nothing.
#[derive(Clone)]
pub struct Client {
    service: RetryService<ReadRefusals<Hyper>, crate::CloneBody>,
}

impl Client {
    /// Trusts what the system trusts.
    ///
    /// # Errors
    /// The system's certificates could not be read.
    pub fn new(retry: Retry) -> Result<Self, ClientError> {
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(ClientError::Certificates)?;
        Ok(Self::over(tls.https_or_http().enable_all_versions().build(), retry))
    }

    /// With a TLS configuration of one's own, such as a private root or a client
    /// certificate. It must not name protocols (ALPN): the client does.
    pub fn with_tls(tls: rustls::ClientConfig, retry: Retry) -> Self {
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls);
        Self::over(tls.https_or_http().enable_all_versions().build(), retry)
    }

    fn over(connector: HttpsConnector<HttpConnector>, retry: Retry) -> Self {
        let hyper = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { service: RetryLayer::new(retry).layer(ReadRefusals(hyper)) }
    }

    /// Sends a request, again if need be, and reads the whole answer. Answers that
    /// say that the request is wrong, such as 404, are answers; a 503 is not.
    ///
    /// # Errors
    /// It was given up, for whatever reason; [`ClientError::attempts`] tells more.
    pub async fn request(
        &self,
        request: Request<impl Into<Bytes>>,
    ) -> Result<Response<Bytes>, ClientError> {
        let request = request.map(|body| Full::new(body.into()));
        let response = self.service.clone().call(request).await.map_err(ClientError::from)?;
        let attempts = response.extensions().get::<Attempts>().copied();
        let response = answer::read(response, attempts).await?;
        match attempts {
            Some(attempts) if attempts.gave_up.is_some() => {
                Err(ClientError::refused(response, attempts))
            }
            _ => Ok(response),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
