// oxlint-disable-next-line import/no-unassigned-import -- must run before the library is loaded
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

export interface CertificateRequest {
  commonName: string;
  /** The groups, in a Kubernetes client certificate. */
  organization?: string | string[];
  /** DNS names and IP addresses. */
  hosts?: string[];
  /** Default: one day from now. */
  notAfter?: Date;
}

/** The certificate and its PKCS#8 key, PEM. */
export interface Issued {
  certPem: string;
  keyPem: string;
}

export interface Authority {
  readonly caPem: string;
  /** Issues a certificate for both servers and clients. */
  issue(request: CertificateRequest): Promise<Issued>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const day = 24 * 60 * 60 * 1000;

/** Creates a certificate authority, ECDSA P-256. Its key stays in memory. */
export async function createAuthority(commonName: string): Promise<Authority> {
  const keys = await generateKeys();
  const ca = await X509CertificateGenerator.createSelfSigned({
    name: distinguishedName(commonName, []),
    keys,
    signingAlgorithm: algorithm,
    ...validity(),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    caPem: ca.toString("pem"),
    async issue(request) {
      const subjectKeys = await generateKeys();
      const certificate = await X509CertificateGenerator.create({
        subject: distinguishedName(request.commonName, [request.organization ?? []].flat()),
        issuer: ca.subject,
        publicKey: subjectKeys.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        ...validity(request.notAfter),
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
          await AuthorityKeyIdentifierExtension.create(keys.publicKey),
          ...alternativeNames(request.hosts ?? []),
        ],
      });
      return { certPem: certificate.toString("pem"), keyPem: await privateKeyPem(subjectKeys.privateKey) };
    },
  };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

/** The validity begins an hour ago, so that skewed clocks accept it. */
function validity(notAfter = new Date(Date.now() + day)): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(Math.min(Date.now(), notAfter.getTime()) - day / 24), notAfter };
}

function distinguishedName(commonName: string, organizations: string[]): JsonName {
  return [...organizations.map((organization) => ({ O: [organization] })), { CN: [commonName] }];
}

function alternativeNames(hosts: string[]): Extension[] {
  if (hosts.length === 0) return [];
  const names = hosts.map((value) => ({
    type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
    value,
  }));
  return [new SubjectAlternativeNameExtension(names)];
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), PemConverter.PrivateKeyTag);
}
