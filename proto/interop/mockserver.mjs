// npm's oauth2-mock-server on loopback, as the measure for fakeidp under load.
//
//   node mockserver.mjs ALG
//
// The issuer is printed, alone, on the first line.
import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
await server.issuer.keys.generate(process.argv[2]);
await server.start(0, '127.0.0.1');
console.log(`http://127.0.0.1:${server.address().port}/`);
