//! The `WWW-Authenticate` header (RFC 9110, section 11.6.1).

/// One challenge that csign can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The challenge to answer: bearer if there is one, else basic. `None` if there is neither.
pub(crate) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let challenges: Vec<Challenge> = headers.flat_map(parse).collect();
    let bearer = challenges.iter().find(|c| matches!(c, Challenge::Bearer { .. }));
    bearer.or(challenges.first()).cloned()
}

/// All challenges of one header that csign knows. A malformed rest is ignored: there is then no challenge to answer.
fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        if let Some(after) = after.trim_start().strip_prefix('=') {
            let Some((value, after)) = value(after.trim_start()) else { break };
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            found.push((word.to_ascii_lowercase(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    found.into_iter().filter_map(|(scheme, parameters)| known(&scheme, parameters)).collect()
}

fn known(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    let parameter = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope").filter(|scope| !scope.is_empty()),
        }),
        _ => None,
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)));
    text.split_at(end.unwrap_or(text.len()))
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = token(text);
        return Some((word.to_owned(), rest));
    };
    let mut out = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((out, &quoted[at + 1..])),
            '\\' => out.push(characters.next()?.1),
            c => out.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_of_real_registries() {
        let one = |text| choose([text].into_iter());
        assert_eq!(
            one(r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#),
            bearer("https://auth.example/token", Some("r.example"), Some("repository:a/b:pull,push"))
        );
        assert_eq!(
            one(r#"bearer  Realm = "https://x/\"y" , error=invalid_token"#),
            bearer("https://x/\"y", None, None)
        );
        assert_eq!(one(r#"Basic realm="x""#), Some(Challenge::Basic));
        assert_eq!(one("BASIC"), Some(Challenge::Basic));
        assert_eq!(one(r#"Basic realm="x, Bearer", Bearer realm="https://t""#), bearer("https://t", None, None));
        assert_eq!(choose(["Basic", r#"Bearer realm="https://t""#].into_iter()), bearer("https://t", None, None));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for bad in
            ["", "Negotiate abc==", "Bearer", r#"Bearer service="x""#, r#"Bearer realm="x"#, "=", "\"", "Bearer é"]
        {
            assert_eq!(choose([bad].into_iter()), None, "{bad}");
        }
    }
}
