//! LIST: the names directly below a folder, a page of them if asked.

use crate::backend::{Answer, Call};
use crate::engines::fields::integer_of;
use crate::error::VaultError;
use crate::response::Response;

/// Names in one answer at most; a longer list goes on with `after`.
pub const LIST_NAMES_MAX: usize = 200_000;

/// Answers LIST of `folder` below the keys that start with `prefix`. The query
/// parameters `after` and `limit` choose a page.
pub(crate) fn list(call: &Call<'_, '_>, prefix: &str, folder: &str) -> Result<Answer, VaultError> {
    let slash = if folder.is_empty() || folder.ends_with('/') { "" } else { "/" };
    let (after, names_max) = page(call)?;
    let mut names =
        call.storage.list(&format!("{prefix}{folder}{slash}"), &after, names_max + 1)?;
    if names.is_empty() {
        return Err(VaultError::not_found());
    }
    let is_cut = names.len() > names_max;
    names.truncate(names_max);
    let mut response = Response::keys(names);
    if is_cut && names_max == LIST_NAMES_MAX {
        response.warnings.push(format!(
            "the list goes on after these {LIST_NAMES_MAX} names: pass the last one as \"after\""
        ));
    }
    Ok(response.into())
}

/// Where the page begins and how many names it holds.
fn page(call: &Call<'_, '_>) -> Result<(String, usize), VaultError> {
    let parameter = |name: &str| {
        let query = call.request.query.get(name).map(|text| text.as_str().into());
        query.or_else(|| call.request.data.get(name).cloned())
    };
    let after = parameter("after").and_then(|value| Some(value.as_str()?.to_owned()));
    let limit = match parameter("limit").map(|value| integer_of(&value)) {
        Some(None) => return Err(VaultError::invalid("limit must be a whole number")),
        limit => limit.flatten().unwrap_or(0),
    };
    let names_max = usize::try_from(limit).unwrap_or(0);
    let is_limited = (1..=LIST_NAMES_MAX).contains(&names_max);
    Ok((after.unwrap_or_default(), if is_limited { names_max } else { LIST_NAMES_MAX }))
}
