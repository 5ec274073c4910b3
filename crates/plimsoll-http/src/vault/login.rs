//! Who logs in, as far as the body says.

use std::borrow::Cow;

use serde::Deserialize;

/// More of a login's body is not read for the role.
pub const ROLE_BODY_BYTES_MAX: usize = 4096;

/// Whether a path below `/v1/` is one to log in at.
pub fn is_login(path: &str) -> bool {
    path.starts_with("auth/") && path.contains("/login")
}

/// The role that a login's body names; empty if it names none, or is larger than
/// [`ROLE_BODY_BYTES_MAX`].
pub fn login_role(body: &[u8]) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Role<'b> {
        #[serde(borrow, alias = "role")]
        role_id: Option<Cow<'b, str>>,
    }
    let known = body.len() <= ROLE_BODY_BYTES_MAX;
    let role = known.then(|| serde_json::from_slice::<Role<'_>>(body).ok()).flatten();
    role.and_then(|role| role.role_id).unwrap_or_default()
}
