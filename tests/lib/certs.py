"""A certificate authority of a test, by the openssl command: names, ends and mistakes to order."""
import os
import subprocess


def _openssl(*words):
    subprocess.run(["openssl", *words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.name = name
        self.cert = os.path.join(folder, name + ".pem")
        self.key = os.path.join(folder, name + ".key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", "30", "-subj", f"/CN={name} of a test", "-keyout", self.key, "-out",
                 self.cert)

    def issue(self, name, names=("DNS:localhost", "IP:127.0.0.1"), days=30):
        """(certificate, key) in files called `name`. days: negative for one that is over."""
        cert = os.path.join(self.folder, name + ".pem")
        key = os.path.join(self.folder, name + ".key")
        request = os.path.join(self.folder, name + ".csr")
        extensions = os.path.join(self.folder, name + ".ext")
        with open(extensions, "w", encoding="utf-8") as f:
            f.write(f"subjectAltName={','.join(names)}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                 f"/CN={name}", "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key,
                 "-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", cert)
        os.chmod(key, 0o600)
        return cert, key
