//! `objects.list`: names in order, grouped by a delimiter, a page at a time.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::store::{Refusal, Storage};
use crate::respond::{self, ApiError, Code};

/// Most names and groups of a page.
const MAX_PAGE: usize = 1000;

impl Storage {
    /// A page of `bucket`'s objects.
    pub(super) fn list(&self, endpoint: &str, bucket: &str, query: Option<&str>) -> Result<Value, Refusal> {
        let text = |name| respond::parameter(query, name).unwrap_or_default();
        let invalid = |what: &str| ApiError::new(Code::InvalidArgument, format!("Invalid argument: {what}."));
        let (prefix, delimiter, from, to) = (text("prefix"), text("delimiter"), text("startOffset"), text("endOffset"));
        let size = match text("maxResults").as_str() {
            "" => MAX_PAGE,
            number => number.parse::<usize>().map_err(|_| invalid("maxResults"))?.min(MAX_PAGE),
        };
        // The token is the last name or group of the page before.
        let token = text("pageToken");
        let after = match token.as_str() {
            "" => None,
            token => {
                let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                Some(decoded.ok_or_else(|| invalid("pageToken"))?)
            }
        };
        self.within(bucket, |found| {
            let (mut items, mut prefixes) = (Vec::new(), BTreeSet::new());
            let (mut last, mut more) = (None, false);
            for (name, object) in found.objects.range(prefix.clone()..) {
                let Some(rest) = name.strip_prefix(&prefix) else { break };
                if name < &from || (!to.is_empty() && name >= &to) {
                    continue;
                }
                let cut = if delimiter.is_empty() { None } else { rest.find(&delimiter) };
                let group = cut.and_then(|at| name.get(..prefix.len() + at + delimiter.len()));
                let entry = group.unwrap_or(name);
                if after.as_deref().is_some_and(|after| entry <= after) || prefixes.contains(entry) {
                    continue;
                }
                if items.len() + prefixes.len() >= size.max(1) {
                    more = true;
                    break;
                }
                last = Some(entry.to_owned());
                match group {
                    Some(group) => drop(prefixes.insert(group.to_owned())),
                    None => items.push(object.resource(endpoint, bucket, name)),
                }
            }
            let mut page = json!({"kind": "storage#objects"});
            if !items.is_empty() {
                page["items"] = json!(items);
            }
            if !prefixes.is_empty() {
                page["prefixes"] = json!(prefixes);
            }
            if let Some(last) = last.filter(|_| more) {
                page["nextPageToken"] = json!(URL_SAFE_NO_PAD.encode(last));
            }
            Ok(page)
        })
    }
}
