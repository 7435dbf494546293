//! For browsers that come without TLS: the way to the page.
//!
//! In: any request over plain HTTP. Out: the same path under the site's own name with TLS, and nothing else: the name that was asked for is not
//! repeated, so nobody is sent elsewhere.

use hyper::header::{self, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, StatusCode};

use super::respond::plain;
use super::{Answer, Respond};

/// Sends everybody to one origin.
#[derive(Debug)]
pub struct Redirect {
    origin: String,
}

impl Redirect {
    /// To `origin`, such as `https://chat.example`.
    pub fn new(origin: String) -> Self {
        Self { origin }
    }
}

impl Respond for Redirect {
    fn respond<B>(&self, request: &Request<B>) -> Answer {
        // `*`, which asks about the server as a whole, is no path.
        let path = request.uri().path_and_query().map(PathAndQuery::as_str);
        let path = path.filter(|path| path.starts_with('/')).unwrap_or("/");
        let target = HeaderValue::from_str(&format!("{}{path}", self.origin));
        let mut answer = plain(StatusCode::PERMANENT_REDIRECT, "The page is served over HTTPS.\n");
        let headers = answer.headers_mut();
        if let Ok(target) = target {
            headers.insert(header::LOCATION, target);
        }
        // What comes is not read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_sent_to_the_site_whatever_they_asked_for() {
        let redirect = Redirect::new("https://chat.example".to_owned());
        let told = |uri: &str| {
            let request =
                Request::builder().uri(uri).header("host", "evil.example").body(()).expect("a request");
            let answer = redirect.respond(&request);
            assert_eq!(answer.status(), StatusCode::PERMANENT_REDIRECT);
            answer.headers()["location"].to_str().expect("ASCII").to_owned()
        };
        assert_eq!(told("/privacy?x=1"), "https://chat.example/privacy?x=1");
        assert_eq!(told("http://evil.example/a"), "https://chat.example/a");
        assert_eq!(told("//evil.example/"), "https://chat.example//evil.example/");
        assert_eq!(told("*"), "https://chat.example/");
    }
}
