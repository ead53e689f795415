//! The page: one file with its script and style in it, served under a policy that admits exactly these two.

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("page.html");

#[derive(Clone)]
pub(super) struct Page {
    policy: HeaderValue,
}

impl Page {
    /// Computes the policy from the file, so that the two cannot differ.
    pub(super) fn new() -> Self {
        let policy = policy(PAGE);
        // A policy of ASCII letters and digits is a header; should it ever not be one, nothing may run.
        Self { policy: HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'")) }
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(PAGE));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

fn policy(page: &str) -> String {
    let hashes = |element: &str| -> String {
        let (start, end) = (format!("<{element}>"), format!("</{element}>"));
        let texts = page.split(&start).skip(1).filter_map(|rest| rest.split(&end).next());
        texts.map(|text| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(text)))).collect()
    };
    format!(
        "default-src 'none'; script-src{}; style-src{}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hashes("script"),
        hashes("style")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_admits_the_one_script_and_the_one_style_of_the_page_and_nothing_else() {
        let policy = policy(PAGE);
        assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
        for never in ["unsafe", "http", "*", "data:"] {
            assert!(!policy.contains(never), "{policy}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_never_writes_markup() {
        for never in
            ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacent", "document.write", " src=", "@import"]
        {
            assert!(!PAGE.contains(never), "the page contains {never}");
        }
    }
}
