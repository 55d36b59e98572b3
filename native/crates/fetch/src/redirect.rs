//! One GET with its redirects: each hop by hand, so that nothing secret goes to another host.

use crate::agent::{agent, cause_of};
use crate::cause::Cause;
use crate::job::Job;
use crate::reach::{Bounds, Reach, bare};
use crate::request::{Header, Source};
use crate::url::Url;
use std::sync::Arc;
use ureq::http::{HeaderMap, Request, Response};
use ureq::{Agent, Body};

/// As curl and Go: beyond this it is a loop.
const MAX_HOPS: usize = 10;

/// Agents of a fetch: with our certificate and leave to skip verification for the host itself, without for others.
pub(crate) struct Client<'a> {
    source: &'a Source,
    url: Url,
    own: Agent,
    other: Option<Agent>,
    bounds: Arc<Bounds>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(source: &'a Source, job: &Job) -> Result<Self, Cause> {
        let url = Url::parse(&source.url)?;
        allowed(source, &url)?;
        let bounds = Arc::new(Bounds::new(source.proxy.is_some()));
        let own = agent(source, true, &bounds)?;
        job.use_agent(&own)?;
        Ok(Self { source, url, own, other: None, bounds })
    }

    /// The agent that asks the host itself: shut down, it ends what waits for an answer.
    pub(crate) fn agent_of_host(&self) -> Agent {
        self.own.clone()
    }

    /// Asks for the blob from `offset` on; the answer's status is any but a redirect.
    pub(crate) fn get(&mut self, offset: u64, job: &Job) -> Result<Response<Body>, Cause> {
        self.get_range(offset, None, job)
    }

    /// The same up to `end`, exclusive.
    pub(crate) fn get_range(&mut self, offset: u64, end: Option<u64>, job: &Job) -> Result<Response<Body>, Cause> {
        let mut url = self.url.clone();
        let mut own_host = true;
        let mut reach = Reach::Any;
        for _ in 0..=MAX_HOPS {
            job.check()?;
            self.bounds.admit(&url.authority, reach).map_err(|e| Cause::Protocol(e.to_string()))?;
            let agent = self.agent(own_host, job)?;
            let response = agent.run(self.request(&url, own_host, (offset, end))?).map_err(cause_of)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = text(response.headers(), "location")
                .ok_or_else(|| Cause::Protocol("a redirect leads nowhere".to_owned()))?;
            let next = url.join(location).map_err(|_| Cause::Protocol("a redirect leads to no http url".to_owned()))?;
            // Another port of a host is as far away as the host itself.
            if bare(&next.authority) != bare(&url.authority) {
                reach = self.bounds.led_by(&url.authority);
            }
            url = next;
            allowed(self.source, &url)?;
            // Once away, credentials stay away, even if a later hop leads back.
            own_host = own_host && url.same_origin(&self.url);
        }
        Err(Cause::Protocol("too many redirects".to_owned()))
    }

    fn agent(&mut self, own_host: bool, job: &Job) -> Result<Agent, Cause> {
        if own_host || (self.source.tls.client_cert.is_none() && !self.source.tls.skip_verify) {
            return Ok(self.own.clone());
        }
        let other = match self.other.take() {
            Some(other) => other,
            None => agent(self.source, false, &self.bounds)?,
        };
        job.use_agent(&other)?;
        self.other = Some(other.clone());
        Ok(other)
    }

    fn request(&self, url: &Url, own_host: bool, range: (u64, Option<u64>)) -> Result<Request<()>, Cause> {
        let mut request = Request::get(url.to_request());
        for Header(name, value) in &self.source.headers {
            // Any header of the caller may be a credential; these two never are.
            if own_host || name.eq_ignore_ascii_case("accept") || name.eq_ignore_ascii_case("user-agent") {
                request = request.header(name, value);
            }
        }
        // RFC 9110, 14.2: the last byte is part of the range.
        match range {
            (0, None) => {}
            (begin, None) => request = request.header("range", format!("bytes={begin}-")),
            (begin, Some(end)) => request = request.header("range", format!("bytes={begin}-{}", end.saturating_sub(1))),
        }
        request.body(()).map_err(|_| Cause::Request("the url or a header is malformed"))
    }
}

/// A header's value if it is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn allowed(source: &Source, url: &Url) -> Result<(), Cause> {
    if url.https || source.allow_http {
        Ok(())
    } else {
        Err(Cause::Tls(format!("{} would be asked over plain http", url.authority)))
    }
}
