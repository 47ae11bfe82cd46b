// The provider that the transcripts in testdata/transcripts were recorded with,
// as far as a client can tell. It differs from provider.mjs in its scopes and
// in that a token is always a JWT.
//
//   node recorded.mjs [--rotate] [--tls KEY.pem CERTIFICATE.pem] [--lifetime SECONDS]
//
// The kernel chooses the port; the issuer is printed, alone, on the first line.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { rotate: { type: 'boolean', default: false }, tls: { type: 'boolean' }, lifetime: { type: 'string', default: '3600' } },
});
const lifetime = Number(options.lifetime);
const month = 30 * 86400;
const scope = 'openid offline_access profile email phone storage.read:/ storage.create:/ wlcg';

const configuration = {
  jwks: { keys: [{ ...crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), alg: 'RS256', kid: 'recorded', use: 'sig' }] },
  cookies: { keys: [crypto.randomBytes(16).toString('hex')] },
  scopes: scope.split(' '),
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email'], phone: ['phone_number'] },
  pkce: { required: () => false },
  rotateRefreshToken: options.rotate,
  // A refresh token is issued to any client that may use one, offline_access or not.
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  ttl: { AccessToken: lifetime, AuthorizationCode: 60, DeviceCode: 600, Grant: month, IdToken: 3600, Interaction: 3600, RefreshToken: month, Session: 86400 },
  async findAccount(ctx, id) {
    return { accountId: id, claims: () => ({ sub: id, name: 'A User', preferred_username: id, email: `${id}@example.org`, phone_number: '1' }) };
  },
  features: {
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://wlcg.cern.ch/jwt/v1/any',
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope, accessTokenFormat: 'jwt', accessTokenTTL: lifetime, jwt: { sign: { alg: 'RS256' } } }),
    },
  },
};

// A custom scheme as redirect URI is for native clients only, says oidc-provider;
// IAM, whose place it takes here, lets every client have one.
function native(req, res, handle) {
  if (req.method !== 'POST' || req.url !== '/reg') return handle(req, res);
  let text = '';
  req.on('data', (piece) => { text += piece; });
  req.on('end', () => {
    try {
      req.body = { ...JSON.parse(text), application_type: 'native' };
    } catch {
      req.body = {};
    }
    handle(req, res);
  });
}

const [key, cert] = positionals.map((name) => fs.readFileSync(name));
const server = options.tls ? https.createServer({ key, cert }) : http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `${options.tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  const handle = new Provider(issuer, configuration).callback();
  server.on('request', (req, res) => native(req, res, handle));
  console.log(issuer);
});
