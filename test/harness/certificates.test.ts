import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { describe, it } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { type Authority, createAuthority } from "./certificates.ts";

/**
 * Connects a client to a server at `127.0.0.1`, both with certificates. Returns the client's names as the server saw
 * them; rejects if either side refuses the other.
 */
async function greet(server: Authority, client: Authority, hosts: string[]): Promise<string> {
  const serverCert = await server.issue({ commonName: "server", hosts });
  await using listening = createServer({
    cert: serverCert.certPem,
    key: serverCert.keyPem,
    ca: server.caPem,
    requestCert: true,
    rejectUnauthorized: true,
  });
  listening.on("secureConnection", (socket: TLSSocket) => {
    const { subject } = socket.getPeerCertificate();
    socket.end(JSON.stringify([subject.CN, subject.O]));
  });
  // In TLS 1.3 the client's handshake ends before the server checks its certificate, so the server reports the refusal.
  let refusal: Error | undefined;
  listening.on("tlsClientError", (error) => {
    refusal = error;
  });
  listening.listen(0, "127.0.0.1");
  await once(listening, "listening");
  const address = listening.address();
  assert.ok(address !== null && typeof address === "object");
  const clientCert = await client.issue({ commonName: "joe", organization: ["developers", "operators"] });
  const socket = connect({
    host: "127.0.0.1",
    port: address.port,
    ca: server.caPem,
    cert: clientCert.certPem,
    key: clientCert.keyPem,
  });
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  if (refusal !== undefined) throw refusal;
  return answer;
}

describe("a certificate of the authority", () => {
  it("is accepted from servers and clients, with its common name and organizations", async () => {
    const authority = await createAuthority("test");
    const seen = await greet(authority, authority, ["localhost", "127.0.0.1"]);
    assert.deepEqual(JSON.parse(seen), ["joe", ["developers", "operators"]]);
  });

  it("is refused for an address it does not name", async () => {
    const authority = await createAuthority("test");
    await assert.rejects(greet(authority, authority, ["10.0.0.1"]), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
  });

  it("is refused by a server of another authority with the same name", async () => {
    const [one, other] = [await createAuthority("test"), await createAuthority("test")];
    await assert.rejects(greet(one, other, ["127.0.0.1"]), {
      code: "ECONNRESET",
    });
  });

  it("can be issued with a validity that has ended", async () => {
    const authority = await createAuthority("test");
    const notAfter = new Date("2020-01-01T00:00:00Z");
    const { certPem } = await authority.issue({ commonName: "old", notAfter });
    const certificate = new X509Certificate(certPem);
    assert.equal(certificate.validToDate.getTime(), notAfter.getTime());
    assert.ok(certificate.validFromDate < certificate.validToDate);
    assert.ok(certificate.verify(new X509Certificate(authority.caPem).publicKey));
  });
});
