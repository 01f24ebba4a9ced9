//! What a scraper asks for, and the answer's first lines.
//!
//! Invariant: a request that is not understood is answered all the same, and closes the connection
//! like every other.

use httparse::{EMPTY_HEADER, Error, Request};

/// More headers than this are refused.
const HEADERS_MAX: usize = 64;

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The figures, or only the headers that would come before them.
    Figures {
        /// Whether they are to be sent too.
        with_body: bool,
    },
    /// The code of an error and its name.
    Refusal(&'static str),
}

/// The answer to the request that `bytes` begin with; `None`: there is more to come.
pub(super) fn answer(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(status) if status.is_partial() => None,
        Ok(_) => Some(judge(&request)),
        Err(Error::TooManyHeaders) => Some(Answer::Refusal("431 Request Header Fields Too Large")),
        Err(_) => Some(Answer::Refusal("400 Bad Request")),
    }
}

fn judge(request: &Request<'_, '_>) -> Answer {
    let target = request.path.unwrap_or_default();
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    match (path, request.method.unwrap_or_default()) {
        ("/metrics", "GET") => Answer::Figures { with_body: true },
        ("/metrics", "HEAD") => Answer::Figures { with_body: false },
        ("/metrics", _) => Answer::Refusal("405 Method Not Allowed"),
        _ => Answer::Refusal("404 Not Found"),
    }
}

/// A whole response with the figures in `body`.
pub(super) fn figures(body: &str, with_body: bool) -> Vec<u8> {
    const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
    let mut response = head("200 OK", KIND, body.len());
    if with_body {
        response.push_str(body);
    }
    response.into_bytes()
}

/// A whole response that refuses.
pub(super) fn refusal(status: &str) -> Vec<u8> {
    let body = format!("{status}\n");
    let mut response = head(status, "text/plain; charset=utf-8", body.len());
    response.push_str(&body);
    response.into_bytes()
}

fn head(status: &str, kind: &str, len: usize) -> String {
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n\
         Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, expected: &str) {
        let got = match answer(request.as_bytes()) {
            None => "more",
            Some(Answer::Figures { with_body: true }) => "figures",
            Some(Answer::Figures { with_body: false }) => "head",
            Some(Answer::Refusal(status)) => &status[..3],
        };
        assert_eq!(got, expected, "{request:?}");
    }

    #[test]
    fn every_request_has_its_answer() {
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "figures");
        check("GET /metrics?name=x HTTP/1.0\r\n\r\nmore than asked for", "figures");
        check("GET /metrics HTTP/1.1\n\n", "figures");
        check("HEAD /metrics HTTP/1.1\r\n\r\n", "head");
        check("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405");
        check("GET / HTTP/1.1\r\n\r\n", "404");
        check("GET /metrics/ HTTP/1.1\r\n\r\n", "404");
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n", "more");
        check("", "more");
        check("*1\r\n$4\r\nPING\r\n", "400");
        check("GET /metrics HTTP/9.9\r\n\r\n", "400");
        let many = "a: b\r\n".repeat(HEADERS_MAX + 1);
        check(&format!("GET /metrics HTTP/1.1\r\n{many}\r\n"), "431");
    }

    #[test]
    fn lengths_are_told_right() {
        let whole = String::from_utf8(figures("abc\n", true)).unwrap();
        let only_head = String::from_utf8(figures("abc\n", false)).unwrap();
        assert_eq!(whole, format!("{only_head}abc\n"));
        assert!(only_head.contains("\r\nContent-Length: 4\r\n") && only_head.ends_with("\r\n\r\n"));
        assert!(String::from_utf8(refusal("405 Method Not Allowed")).unwrap().contains("Allow: G"));
    }
}
