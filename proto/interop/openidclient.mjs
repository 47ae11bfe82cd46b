// A certified OpenID client, npm's openid-client, goes through all that it
// knows with the provider whose issuer it is given.
//
//   node openidclient.mjs ISSUER AUTH_METHOD
//
// The provider approves authorization requests by itself and device codes when
// its control API says so. Each step that worked is a line on stdout.
import assert from 'node:assert/strict';
import * as client from 'openid-client';

const [issuer, method] = process.argv.slice(2);
const redirectURI = 'http://127.0.0.1:1/back'; // nobody needs to listen there
const scope = 'openid profile offline_access storage.read:/';
const device = 'urn:ietf:params:oauth:grant-type:device_code';
const authentication = {
  client_secret_basic: (secret) => client.ClientSecretBasic(secret),
  client_secret_post: (secret) => client.ClientSecretPost(secret),
  none: () => client.None(),
}[method];

async function control(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const r = await fetch(`${issuer}_fake/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  assert(r.ok, await r.text());
}

// Strict: signatures of ID tokens are checked although they come over a direct connection.
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks];

const registered = await client.dynamicClientRegistration(new URL(issuer), {
  client_name: 'openid-client',
  redirect_uris: [redirectURI],
  grant_types: ['authorization_code', 'refresh_token', device],
  response_types: ['code'],
  token_endpoint_auth_method: method,
  scope,
}, undefined, { execute });
const id = registered.clientMetadata();
console.log('registration');

const config = await client.discovery(new URL(issuer), id.client_id, id, authentication(id.client_secret), { execute });
assert.equal(config.serverMetadata().issuer, issuer);
console.log('discovery');

await control('settings', { auto_approve: true });
const verifier = client.randomPKCECodeVerifier();
const [state, nonce] = [client.randomState(), client.randomNonce()];
const start = client.buildAuthorizationUrl(config, {
  redirect_uri: redirectURI, scope, state, nonce, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
});
const back = (await fetch(start, { redirect: 'manual' })).headers.get('location');
let tokens = await client.authorizationCodeGrant(config, new URL(back), {
  pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 60, idTokenExpected: true,
});
const { sub } = tokens.claims();
console.log('code');

await control('settings', { auto_approve: false });
const asked = await client.initiateDeviceAuthorization(config, { scope });
const polling = client.pollDeviceAuthorizationGrant(config, asked);
await control('approve', { user_code: asked.user_code });
tokens = await polling;
assert.equal(tokens.claims().sub, sub);
console.log('device');

const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, { scope: 'openid profile storage.read:/myPath' });
assert.equal(fresh.scope, 'openid profile storage.read:/myPath');
await assert.rejects(client.refreshTokenGrant(config, fresh.refresh_token, { scope: 'storage.modify:/' }), { error: 'invalid_scope' });
console.log('refresh');

const info = await client.fetchUserInfo(config, fresh.access_token, sub);
assert.equal(info.preferred_username, 'alice');
console.log('userinfo');

if (method === 'none') { // has no right to introspect
  await assert.rejects(client.tokenIntrospection(config, fresh.access_token));
} else {
  const state = await client.tokenIntrospection(config, fresh.access_token);
  assert(state.active && state.client_id === id.client_id && state.scope === fresh.scope);
}
console.log('introspection');

await client.tokenRevocation(config, fresh.refresh_token);
await assert.rejects(client.refreshTokenGrant(config, fresh.refresh_token));
await assert.rejects(client.fetchUserInfo(config, fresh.access_token, sub));
console.log('revocation');
