package connstring

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// checkFiles reads the files of certificates that are named. It does not name them: one may stand where a password was
// meant to be.
func (s settings) checkFiles() error {
	if file, ok := s["passfile"]; ok && !strings.HasSuffix(file.part, "environment") {
		if f, err := os.Open(file.value); err != nil {
			return unreadable(file, err)
		} else if err := f.Close(); err != nil {
			return unreadable(file, err)
		}
	}
	if s.onlySockets() {
		return nil
	}
	if root, ok := s["sslrootcert"]; ok && root.value != "" && root.value != "system" {
		content, err := os.ReadFile(root.value)
		if err != nil {
			return unreadable(root, err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(content) {
			return &Error{
				Part: root.part, Problem: "names a file without a certificate in PEM form",
				Next: "name the file of the authority that signed the server's certificate",
			}
		}
	}
	if s["sslmode"].value == "disable" || s["sslcertmode"].value == "disable" {
		return nil
	}
	return s.checkClientCertificate()
}

func (s settings) checkClientCertificate() error {
	cert, key := s["sslcert"], s["sslkey"]
	switch {
	case cert.value == "" && key.value == "":
		return nil
	case cert.value == "" || key.value == "":
		lone := cert
		if cert.value == "" {
			lone = key
		}
		return &Error{
			Part: lone.part, Problem: "is set alone",
			Next: "set both sslcert and sslkey, the certificate of the client and its key",
		}
	}
	certPEM, err := os.ReadFile(cert.value)
	if err != nil {
		return unreadable(cert, err)
	}
	keyPEM, err := os.ReadFile(key.value)
	if err != nil {
		return unreadable(key, err)
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return &Error{
			Part: key.part, Problem: "names a file without a key in PEM form",
			Next: "name the file of the client's private key",
		}
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return &Error{
			Part: key.part, Problem: "names a key that is encrypted as PKCS #8, which the driver does not read",
			Next: "write it without a password (openssl pkey -in FILE -out FILE), readable by this user alone",
		}
	}
	if x509.IsEncryptedPEMBlock(block) { //nolint:staticcheck // pgx and libpq read it
		plain, err := x509.DecryptPEMBlock(block, []byte(s["sslpassword"].value)) //nolint:staticcheck // as above
		if err != nil {
			return &Error{
				Part: key.part, Problem: "names an encrypted key, which sslpassword does not decrypt",
				Next: "set sslpassword or PGSSLPASSWORD, or store the key without a password",
			}
		}
		block = &pem.Block{Type: "RSA PRIVATE KEY", Bytes: plain} // as pgx takes it
	}
	if _, err := tls.X509KeyPair(certPEM, pem.EncodeToMemory(block)); err != nil {
		return &Error{
			Part: cert.part, Problem: "and sslkey do not name a certificate and its key",
			Next: "name the client's certificate, and the key that belongs to it",
		}
	}
	return nil
}

// onlySockets reports whether all hosts are sockets, to which PostgreSQL has no TLS.
func (s settings) onlySockets() bool {
	for host := range strings.SplitSeq(s["host"].value, ",") {
		if !strings.HasPrefix(host, "/") {
			return false
		}
	}
	return true
}

func unreadable(file setting, err error) error {
	return &Error{
		Part: file.part, Problem: "names a file that cannot be read (" + reason(err) + ")",
		Next: "correct the path, or the rights of the file",
	}
}

// reason is the system's word for an error, without the path.
func reason(err error) string {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err.Error()
	}
	return "it cannot be read"
}
