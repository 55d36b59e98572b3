//! Certificates: the system's store, the caller's authorities, our own for hosts that ask for one.

use crate::cause::Cause;
use crate::request::Tls;
use crate::verify::{Unverified, Verifier};
use podwright_sys::errno::SysError;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Where distributions keep the store, as Go and OpenSSL look for it; the first that is there.
const STORES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The settings of one host. `own_host` is false for one it was redirected to: our certificate is not for that, nor is
/// leave to be anybody.
pub(crate) fn tls_config(tls: &Tls, own_host: bool) -> Result<Arc<ClientConfig>, Cause> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = match (&tls.client_cert, &tls.client_key) {
        (Some(cert), Some(key)) if own_host => Some((chain(cert)?, cert, key)),
        (Some(_), None) | (None, Some(_)) => {
            return Err(Cause::Request("a client certificate and its key come together"));
        }
        _ => None,
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Cause::Tls(e.to_string()))?;
    let builder = if tls.skip_verify && own_host {
        let schemes = provider.signature_verification_algorithms.supported_schemes();
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(schemes)))
    } else {
        let (roots, named) = authorities(tls)?;
        if roots.is_empty() {
            // Nobody is trusted; plain HTTP needs nobody.
            builder.with_root_certificates(roots)
        } else {
            let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let webpki = webpki.map_err(|e| Cause::Tls(e.to_string()))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { webpki, named }))
        }
    };
    let config = match client {
        None => builder.with_no_client_auth(),
        Some((chain, cert, key)) => {
            let pem = PrivateKeyDer::from_pem_file(key);
            let der = pem.map_err(|e| unread(key, &e))?;
            let made = builder.with_client_auth_cert(chain, der);
            made.map_err(|e| Cause::Tls(format!("{} and {}: {e}", cert.display(), key.display())))?
        }
    };
    Ok(Arc::new(config))
}

/// Whom we trust, and which of these the caller named himself.
fn authorities(tls: &Tls) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Cause> {
    let mut roots = RootCertStore::empty();
    if let Some(store) = STORES.iter().map(Path::new).find(|path| path.exists()) {
        roots.add_parsable_certificates(chain(store)?);
    }
    let mut named = Vec::new();
    for file in &tls.ca_files {
        let found = chain(file)?;
        if found.is_empty() {
            return Err(Cause::Tls(format!("{} has no certificate", file.display())));
        }
        named.extend(found);
    }
    roots.add_parsable_certificates(named.iter().cloned());
    Ok((roots, named))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let failed = |e: pem::Error| unread(path, &e);
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// A file that is no PEM is the fault of who made it. That this host cannot open it now (no descriptor left) is nobody's,
/// least of all the registry's.
fn unread(path: &Path, error: &pem::Error) -> Cause {
    match error {
        pem::Error::Io(e) if e.kind() != std::io::ErrorKind::NotFound && e.raw_os_error().is_some() => {
            SysError::from_io("read certificates", "open", e, path.display().to_string()).into()
        }
        _ => Cause::Tls(format!("read {}: {error}", path.display())),
    }
}
