"""The README.txt of every evidence bundle: how to check it without us."""

README = """\
SPELLMARK EVIDENCE BUNDLE

certificate.sigstore.json  the signed statement (Sigstore bundle v0.3, DSSE, in-toto Statement v1)
certificate.tlog-proof     proof that the certificate stands in the log (c2sp.org/tlog-proof)
revocations.json           revocations of this certificate, if it was withdrawn or replaced
transcript.jsonl           every query and answer of the run, one JSON object a line (verdicts only)
answers/                   raw answers, each named by its SHA-256
probes/                    what was asked, for the reader; not covered by the certificate
README.txt                 this text; not covered by the certificate

You need the trust file of whoever issued the certificate. Take it from them directly, never from
the hand that gave you this bundle.


1. WITH SPELLMARK (offline)

    pip install ./spellmark        # a copy of its repository; the issuer can say where to get it
    spellmark verify BUNDLE.zip --trust trust.json

Take the issuer's newest list of revocations, too, and the policy that names the log's witnesses if
there is one: then add

    --revocations revocations.json --policy policy.txt

The page /verifier of the registry checks the same in a browser. It can be saved, and works without
a network.


2. WITH OPENSSL

Unpack the bundle. Save the public key from trust.json (certificateKeys, publicKey) as key.pem; with
jq:  jq -r '.certificateKeys[0].publicKey' trust.json > key.pem
Then, in the unpacked folder:

    sed 's/.*"payload":"\\([^"]*\\)".*/\\1/' certificate.sigstore.json | base64 -d > statement.json
    sed 's/.*"sig":"\\([^"]*\\)".*/\\1/' certificate.sigstore.json | base64 -d > signature.der
    printf 'DSSEv1 28 application/vnd.in-toto+json %d ' $(wc -c < statement.json) > signed.bin
    cat statement.json >> signed.bin
    openssl dgst -sha256 -verify key.pem -signature signature.der signed.bin

It must say "Verified OK". Then statement.json is what was signed; read it. For a verdict,

    sha256sum transcript.jsonl

must print the digest of the subject "transcript" in statement.json.


3. THE LOG

The log's entry for this certificate is the output, without a newline, of

    printf '{"kind":"certificate/v1","sha256":"%s"}' $(sha256sum < signed.bin | cut -c 1-64)

Any verifier for c2sp.org/tlog-proof checks it with certificate.tlog-proof and the log's vkey in
trust.json.


WHAT THIS DOES NOT PROVE

The certificate says how likely an innocent model would have answered like this, and under which
limits: they stand in the statement. It does not say who copied the model, or how.
"""
