//! The head of a request: bytes in, path out. Pure, so that it is fed with any bytes (`tests/fuzz`).

/// The longest head of a request. Prometheus sends 300 bytes.
pub(crate) const HEAD_MAX: usize = 4096;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// Without the query.
    pub(crate) path: &'a str,
    pub(crate) is_head: bool,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It is no request of HTTP/1.
    Malformed,
    /// Neither GET nor HEAD.
    Method,
}

/// The empty line behind the head has been read.
pub(crate) fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n")
}

/// The request line is all that counts.
pub(crate) fn parse(head: &[u8]) -> Result<Request<'_>, Unfit> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Unfit::Malformed)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Unfit::Malformed);
    };
    if !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return Err(Unfit::Malformed);
    }
    let is_head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Unfit::Method),
    };
    let path = target.split(['?', '#']).next().unwrap_or(target);
    Ok(Request { path, is_head })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_head_gives_a_path_of_the_head_or_an_error(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = parse(&head) {
                prop_assert!(request.path.starts_with('/') && !request.path.contains([' ', '?', '\r']));
            }
        }

        #[test]
        fn any_path_is_found_whatever_follows_it(path in "/[a-z/._~-]{0,30}", query in "(\\?[a-z=&?]{0,10})?", rest in "[a-zA-Z: \r\n]{0,40}") {
            let head = format!("GET {path}{query} HTTP/1.1\r\n{rest}");
            prop_assert_eq!(parse(head.as_bytes()), Ok(Request { path: &path, is_head: false }));
        }
    }
}
