//! Quoting for bash.

/// `text` as an argument: as it is where it has only characters without a meaning to the shell, else in single quotes.
pub(super) fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+:,./_=-".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

/// `text` in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::word;

    #[test]
    fn whatever_is_quoted_arrives_as_one_argument_with_the_same_bytes() {
        let hostile = [
            "plain",
            "",
            " ",
            "a b",
            "$(touch /tmp/x)",
            "`id`",
            "'; rm -rf / #",
            "''",
            "\"",
            "\\",
            "a\nb",
            "*",
            "~",
            "a=b",
            "!history",
            "{a,b}",
            "<(id)",
            "é",
            "#x",
        ];
        let script = format!("printf '%s\\0' {}", hostile.map(word).join(" "));
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
        let want: String = hostile.iter().map(|text| format!("{text}\0")).collect();
        assert_eq!(String::from_utf8_lossy(&output.stdout), want);
    }
}
