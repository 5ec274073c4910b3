//! vaultrs, the Rust client, against the server that VAULT_ADDR names.

use std::collections::HashMap;

use vaultrs::api::auth::approle::requests::SetAppRoleRequestBuilder;
use vaultrs::auth::approle;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::sys::ServerStatus;
use vaultrs::{kv1, kv2, sys, token};

fn client() -> VaultClient {
    VaultClient::new(VaultClientSettingsBuilder::default().build().unwrap()).unwrap()
}

#[tokio::test]
async fn the_server_is_ready() {
    assert!(matches!(sys::status(&client()).await.unwrap(), ServerStatus::OK));
}

#[tokio::test]
async fn kv2_is_written_read_listed_and_deleted() {
    let client = client();
    let secret = HashMap::from([("x".to_owned(), "1".to_owned())]);
    kv2::set(&client, "secret", "vaultrs/a", &secret).await.unwrap();
    let read: HashMap<String, String> = kv2::read(&client, "secret", "vaultrs/a").await.unwrap();
    assert_eq!(read, secret);
    assert_eq!(kv2::list(&client, "secret", "vaultrs").await.unwrap(), ["a"]);
    let metadata = kv2::read_metadata(&client, "secret", "vaultrs/a").await.unwrap();
    assert_eq!(metadata.current_version, 1);
    kv2::delete_metadata(&client, "secret", "vaultrs/a").await.unwrap();
    assert!(kv2::read::<HashMap<String, String>>(&client, "secret", "vaultrs/a").await.is_err());
}

#[tokio::test]
async fn kv1_on_a_mount_of_its_own() {
    let client = client();
    let options = HashMap::from([("version".to_owned(), "1".to_owned())]);
    let mut request =
        vaultrs::api::sys::requests::EnableEngineRequest::builder();
    sys::mount::enable(&client, "vaultrs-kv1", "kv", Some(request.options(options))).await.unwrap();
    let secret = HashMap::from([("k", "v")]);
    kv1::set(&client, "vaultrs-kv1", "a", &secret).await.unwrap();
    let read: HashMap<String, String> = kv1::get(&client, "vaultrs-kv1", "a").await.unwrap();
    assert_eq!(read["k"], "v");
    kv1::delete(&client, "vaultrs-kv1", "a").await.unwrap();
    sys::mount::disable(&client, "vaultrs-kv1").await.unwrap();
}

#[tokio::test]
async fn a_login_by_approle_gives_a_working_token() {
    let mut client = client();
    sys::auth::enable(&client, "vaultrs-approle", "approle", None).await.unwrap();
    let mut role: SetAppRoleRequestBuilder = Default::default();
    role.token_policies(vec!["default".to_owned()]);
    approle::role::set(&client, "vaultrs-approle", "app", Some(&mut role)).await.unwrap();
    let id = approle::role::read_id(&client, "vaultrs-approle", "app").await.unwrap().role_id;
    let secret =
        approle::role::secret::generate(&client, "vaultrs-approle", "app", None).await.unwrap();
    let auth = approle::login(&client, "vaultrs-approle", &id, &secret.secret_id).await.unwrap();
    vaultrs::client::Client::set_token(&mut client, &auth.client_token);
    let own = token::lookup_self(&client).await.unwrap();
    assert!(own.policies.contains(&"default".to_owned()));
}
