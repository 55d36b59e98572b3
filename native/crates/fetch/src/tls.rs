//! Certificates: the system's store, the caller's authorities, our own for hosts that ask for one.

use crate::cause::Cause;
use crate::request::Tls;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

/// Where distributions keep the store, as Go and OpenSSL look for it; the first that is there.
const STORES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The settings of one host; `with_client_cert` is false for a host it was redirected to.
pub(crate) fn tls_config(tls: &Tls, with_client_cert: bool) -> Result<TlsConfig, Cause> {
    let mut roots = Vec::new();
    if !tls.skip_verify {
        if let Some(store) = STORES.iter().map(Path::new).find(|path| path.exists()) {
            roots = certificates(store)?;
        }
        for file in &tls.ca_files {
            let found = certificates(file)?;
            if found.is_empty() {
                return Err(Cause::Tls(format!("{} has no certificate", file.display())));
            }
            roots.extend(found);
        }
    }
    let client = match (&tls.client_cert, &tls.client_key) {
        (Some(cert), Some(key)) if with_client_cert => Some(client_cert(cert, key)?),
        (Some(_), None) | (None, Some(_)) => {
            return Err(Cause::Request("a client certificate and its key come together"));
        }
        _ => None,
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .client_cert(client)
        .disable_verification(tls.skip_verify)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, Cause> {
    Ok(chain(path)?.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Cause> {
    let failed = |e: rustls::pki_types::pem::Error| Cause::Tls(format!("read {}: {e}", path.display()));
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// Checked here whole: what the client meets later it would not survive.
fn client_cert(cert: &Path, key: &Path) -> Result<ClientCert, Cause> {
    let chain = chain(cert)?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| Cause::Tls(format!("read {}: {e}", key.display())))?;
    let provider = rustls::crypto::ring::default_provider();
    let pair = rustls::sign::CertifiedKey::from_der(chain.clone(), key_der, &provider);
    pair.map_err(|e| Cause::Tls(format!("{} and {}: {e}", cert.display(), key.display())))?;
    let pem = std::fs::read(key).map_err(|e| Cause::Tls(format!("read {}: {e}", key.display())))?;
    let key = PrivateKey::from_pem(&pem).map_err(|e| Cause::Tls(format!("read {}: {e}", key.display())))?;
    let chain: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(ClientCert::new_with_certs(&chain, key))
}
