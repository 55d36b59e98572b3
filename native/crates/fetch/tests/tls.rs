//! Blobs over TLS: whom we trust, and whom we show our certificate.

mod scratch;
mod server;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use scratch::{Scratch, blob_request, failure, get, noise};
use serde_json::json;
use server::{Reply, Server};
use std::sync::Arc;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("issuer") }
    }

    /// Certificate and key for a name, PEM and DER.
    fn issue(&self, name: &str) -> (String, String, CertificateDer<'static>, PrivatePkcs8KeyDer<'static>) {
        let key = KeyPair::generate().expect("key");
        let params = CertificateParams::new([name.to_owned()]).expect("params");
        let certificate = params.signed_by(&key, &self.issuer).expect("sign");
        (certificate.pem(), key.serialize_pem(), certificate.der().clone(), key.serialize_der().into())
    }

    fn server(&self, name: &str, ask_client: bool) -> Arc<ServerConfig> {
        let (_, _, certificate, key) = self.issue(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("root");
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("verifier");
        let builder =
            if ask_client { builder.with_client_cert_verifier(verifier) } else { builder.with_no_client_auth() };
        Arc::new(builder.with_single_cert(vec![certificate], key.into()).expect("config"))
    }
}

/// A certificate that is its own authority, as `openssl req -x509` makes it, and its key.
fn own_authority(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("params");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    (params.self_signed(&key).expect("sign"), key)
}

/// A server that shows a certificate, whether or not it has its key.
fn showing(certificate: &rcgen::Certificate, key: &KeyPair) -> Arc<ServerConfig> {
    let provider = rustls::crypto::ring::default_provider();
    let key =
        provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(key.serialize_der()).into()).expect("key");
    let pair = CertifiedKey::new(vec![certificate.der().clone()], key);
    let builder = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth();
    Arc::new(builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair))))
}

#[test]
fn a_server_may_show_the_very_authority_that_is_named() {
    let (s, blob) = (Scratch::new(), noise(1000));
    let fetch = |shown: &rcgen::Certificate, key: &KeyPair, named: &rcgen::Certificate| {
        let server = Server::start("127.0.0.1:0", Some(showing(shown, key)), |_| Reply::new(200, &noise(1000)));
        let tls = json!({ "caFiles": [s.write("ca.pem", named.pem())] });
        get(&blob_request(&url(&server), &blob, json!({ "tls": tls, "attempts": 1 })))
    };
    let refusal = |shown: &rcgen::Certificate, key: &KeyPair, named: &rcgen::Certificate| {
        let (stage, _, message) = failure(fetch(shown, key, named));
        assert_eq!(stage, "tls", "{message}");
        message
    };
    let (ours, key) = own_authority("127.0.0.1", |_| ());
    fetch(&ours, &key, &ours).expect("the one that is named");
    let (other, other_key) = own_authority("127.0.0.1", |_| ());
    let message = refusal(&other, &other_key, &ours);
    assert!(message.contains("CaUsedAsEndEntity"), "equal in all but the key: {message}");
    let message = refusal(&ours, &other_key, &ours);
    assert!(message.contains("BadSignature"), "shown without having its key: {message}");
    type Change = fn(&mut CertificateParams);
    let cases: [(&str, Change, &str); 3] = [
        ("10.0.0.1", |_| (), "not valid for name"),
        ("127.0.0.1", |p| p.not_after = rcgen::date_time_ymd(2020, 1, 1), "expired"),
        ("127.0.0.1", |p| p.not_before = rcgen::date_time_ymd(2999, 1, 1), "not valid yet"),
    ];
    for (name, change, expected) in cases {
        let (ours, key) = own_authority(name, change);
        let message = refusal(&ours, &key, &ours);
        assert!(message.contains(expected), "{message}");
    }
}

fn url(server: &Server) -> String {
    format!("https://{}/x", server.authority)
}

#[test]
fn only_known_authorities_and_right_names_are_trusted() {
    let (s, ca, blob) = (Scratch::new(), Authority::new(), noise(300_000));
    let ca_file = s.write("ca.pem", ca.issuer.pem());
    let tls = json!({ "tls": { "caFiles": [ca_file] }, "allowHttp": false, "attempts": 1 });
    let server =
        Server::start("127.0.0.1:0", Some(ca.server("127.0.0.1", false)), |_| Reply::new(200, &noise(300_000)));
    get(&blob_request(&url(&server), &blob, tls.clone())).expect("trusted");
    let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, json!({ "attempts": 1 }))));
    assert!(stage == "tls" && message.contains("UnknownIssuer"), "{message}");
    get(&blob_request(&url(&server), &blob, json!({ "tls": { "skipVerify": true } }))).expect("not verified");
    let server = Server::start("127.0.0.1:0", Some(ca.server("10.0.0.1", false)), |_| Reply::new(200, &noise(300_000)));
    let (stage, _, message) = failure(get(&blob_request(&url(&server), &blob, tls)));
    assert!(stage == "tls" && message.contains("not valid for name"), "{message}");
}

#[test]
fn a_host_that_asks_gets_our_certificate_and_no_other_does() {
    let (s, ca, blob) = (Scratch::new(), Authority::new(), noise(100));
    let (certificate, key, ..) = ca.issue("client");
    let tls = json!({
        "caFiles": [s.write("ca.pem", ca.issuer.pem())],
        "clientCert": s.write("client.pem", certificate), "clientKey": s.write("client.key", key),
    });
    let asking = Server::start("127.0.0.1:0", Some(ca.server("127.0.0.1", true)), |_| Reply::new(200, &noise(100)));
    get(&blob_request(&url(&asking), &blob, json!({ "tls": tls }))).expect("shown");
    let without = json!({ "tls": { "caFiles": tls["caFiles"] }, "attempts": 1 });
    assert!(get(&blob_request(&url(&asking), &blob, without)).is_err());
    let to = url(&asking);
    let first = Server::start("127.0.0.1:0", Some(ca.server("127.0.0.1", false)), move |_| Reply::redirect(&to));
    assert!(
        get(&blob_request(&url(&first), &blob, json!({ "tls": tls, "attempts": 1 }))).is_err(),
        "not shown to another host"
    );
}

#[test]
fn leave_to_be_anybody_is_for_the_host_itself() {
    let (s, ca, blob) = (Scratch::new(), Authority::new(), noise(100));
    let other = Server::start("127.0.0.1:0", Some(ca.server("127.0.0.1", false)), |_| Reply::new(200, &noise(100)));
    let to = url(&other);
    let first = Server::start("127.0.0.1:0", Some(ca.server("10.0.0.1", false)), move |_| Reply::redirect(&to));
    let fetch = |tls: serde_json::Value| get(&blob_request(&url(&first), &blob, json!({ "tls": tls, "attempts": 1 })));
    let (stage, _, message) = failure(fetch(json!({ "skipVerify": true })));
    assert!(stage == "tls" && message.contains("UnknownIssuer"), "{message}");
    assert!(other.requests().is_empty());
    let known = json!({ "skipVerify": true, "caFiles": [s.write("ca.pem", ca.issuer.pem())] });
    fetch(known).expect("the other is who it says");
    let again = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&again);
    let own = Server::start("127.0.0.1:0", Some(ca.server("10.0.0.1", false)), move |_| {
        if counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            Reply::redirect("/elsewhere")
        } else {
            Reply::new(200, &noise(100))
        }
    });
    let tls = json!({ "tls": { "skipVerify": true }, "attempts": 1 });
    get(&blob_request(&url(&own), &blob, tls)).expect("within the host");
}

#[test]
fn bad_certificate_files_are_named() {
    let (s, ca, blob) = (Scratch::new(), Authority::new(), noise(10));
    let (certificate, ..) = ca.issue("a");
    let (_, other_key, ..) = ca.issue("b");
    let certificate = s.write("cert.pem", certificate);
    let cases = [
        json!({ "caFiles": [s.root.join("absent.pem")] }),
        json!({ "caFiles": [s.write("empty.pem", "")] }),
        json!({ "clientCert": certificate, "clientKey": s.write("other.key", other_key) }),
        json!({ "clientCert": certificate, "clientKey": s.write("no.key", "nothing") }),
    ];
    for tls in cases {
        let (stage, _, message) = failure(get(&blob_request("https://127.0.0.1:1/x", &blob, json!({ "tls": tls }))));
        assert!(stage == "tls" && message.contains(s.root.to_str().expect("utf-8")), "{message}");
    }
    let half = json!({ "tls": { "clientCert": certificate } });
    assert_eq!(failure(get(&blob_request("https://127.0.0.1:1/x", &blob, half))).0, "request");
}

#[test]
fn https_does_not_lead_to_http_unless_allowed() {
    let (s, ca, blob) = (Scratch::new(), Authority::new(), noise(10));
    let plain = Server::http(|_| Reply::new(200, &noise(10)));
    let to = format!("http://{}/x", plain.authority);
    let server = Server::start("127.0.0.1:0", Some(ca.server("127.0.0.1", false)), move |_| Reply::redirect(&to));
    let tls = json!({ "caFiles": [s.write("ca.pem", ca.issuer.pem())] });
    let (stage, _, message) =
        failure(get(&blob_request(&url(&server), &blob, json!({ "tls": tls, "allowHttp": false }))));
    assert!(stage == "tls" && message.contains("plain http") && plain.requests().is_empty(), "{message}");
    get(&blob_request(&url(&server), &blob, json!({ "tls": tls }))).expect("allowed");
}
