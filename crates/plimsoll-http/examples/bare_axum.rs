//! The least that an HTTP server can do: what a refusal is compared with
//! (`bench/run cost`). Tells its address.

use axum::Router;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new().fallback(|| async { "ok\n" });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
