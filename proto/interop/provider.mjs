// A certified OpenID provider on loopback, for the tests in this folder.
//
//   node provider.mjs [--rotate]
//
// The kernel chooses the port; the issuer is printed, alone, on the first line.
// Anyone may register a client, and anyone may log in under any name. Access
// tokens are opaque and good for userinfo, but those that a client asks for
// with resource=https://storage.example.org are JWTs for that server.
import crypto from 'node:crypto';
import http from 'node:http';
import Provider from 'oidc-provider';

const rotate = process.argv.includes('--rotate');
const resource = 'https://storage.example.org';
const oidcScopes = ['openid', 'offline_access', 'profile', 'email'];
const storageScopes = ['storage.read:/', 'storage.create:/'];

const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });

const configuration = {
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'interop' }] },
  cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
  scopes: [...oidcScopes, ...storageScopes],
  claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
  rotateRefreshToken: rotate,
  ttl: { AccessToken: 3600, DeviceCode: 600, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 3600 },
  async findAccount(ctx, id) {
    return { accountId: id, claims: () => ({ sub: id, name: 'A User', email: `${id}@example.org` }) };
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      // Every login is for the storage as well, whether the client says so or not.
      defaultResource: (ctx, client, oneOf) => oneOf ?? resource,
      getResourceServerInfo(ctx, name) {
        return {
          scope: [...oidcScopes, ...storageScopes].join(' '),
          audience: name,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        };
      },
    },
  },
};

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  console.log(issuer);
});
