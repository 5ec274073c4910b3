//! The Rust clients: `interop-zoo NAME URL/read URL/write ...`; see clients.py.

use futures_util::future::join_all;

const PATH: &str = "/v1/secret/zoo";
const BODY: &str = r#"{"a":"b"}"#;

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn reqwest_retry(url: &str, write: bool) -> Outcome {
    use reqwest_middleware::ClientBuilder;
    use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};

    let policy = ExponentialBackoff::builder().build_with_max_retries(3);
    let retry = RetryTransientMiddleware::new_with_policy(policy);
    let client = ClientBuilder::new(reqwest::Client::new()).with(retry).build();
    let url = format!("{url}{PATH}");
    if write {
        client.post(url).body(BODY).send().await?.error_for_status()?;
    } else {
        client.get(url).send().await?.error_for_status()?;
    }
    Ok(())
}

async fn vaultrs(url: &str, write: bool) -> Outcome {
    use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

    let settings = VaultClientSettingsBuilder::default().address(url).token("root").build()?;
    let client = VaultClient::new(settings)?;
    let secret = std::collections::HashMap::from([("a", "b")]);
    if write {
        vaultrs::kv2::set(&client, "secret", "zoo", &secret).await?;
    } else {
        let _: std::collections::HashMap<String, String> =
            vaultrs::kv2::read(&client, "secret", "zoo").await?;
    }
    Ok(())
}

async fn ask(name: &str, target: &str) -> Outcome {
    let (url, kind) = target.rsplit_once('/').ok_or("a target is URL/read or URL/write")?;
    let write = kind == "write";
    match name {
        "reqwest-retry" => reqwest_retry(url, write).await,
        "vaultrs" => vaultrs(url, write).await,
        _ => Err(format!("{name} is no client of this program").into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let name = args.next().ok_or("which client?")?;
    join_all(args.map(async |target| {
        if let Err(error) = ask(&name, &target).await {
            eprintln!("{target}: {error}");
        }
        println!("{target}");
    }))
    .await;
    Ok(())
}
