/*
 * A program of a user that gets its tokens through liboidc-agent.
 *
 *   client FUNCTION ACCOUNT_OR_ISSUER MIN_VALID_PERIOD [SCOPE [AUDIENCE]]
 *
 * prints what the function returns, a line each: token, issuer, expires_at, or
 * error and help. It exits with 0 if there is a token, and else with 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oidc-agent/api.h>

static const char* hint = "client.c";

static int print_token(char* token) {
  if (token == NULL) {
    printf("error: %s\n", oidcagent_serror());
    return 1;
  }
  printf("token: %s\n", token);
  secFree(token);
  return 0;
}

static int print_response(struct token_response r) {
  if (r.token == NULL) {
    printf("error: %s\n", oidcagent_serror());
    return 1;
  }
  printf("token: %s\nissuer: %s\nexpires_at: %ld\n", r.token, r.issuer, (long)r.expires_at);
  secFreeTokenResponse(r);
  return 0;
}

static int print_agent_response(struct agent_response r) {
  int failed = r.type == AGENT_RESPONSE_TYPE_ERROR;
  if (failed) {
    printf("error: %s\n", r.error_response.error);
    if (r.error_response.help != NULL) printf("help: %s\n", r.error_response.help);
    oidcagent_printErrorResponse(r.error_response);
  } else {
    printf("token: %s\nissuer: %s\nexpires_at: %ld\n", r.token_response.token, r.token_response.issuer,
           (long)r.token_response.expires_at);
  }
  secFreeAgentResponse(r);
  return failed;
}

int main(int argc, char** argv) {
  if (argc < 4) return 64;
  const char* f        = argv[1];
  const char* name     = argv[2];
  time_t      valid    = atol(argv[3]);
  const char* scope    = argc > 4 && *argv[4] ? argv[4] : NULL;
  const char* audience = argc > 5 && *argv[5] ? argv[5] : NULL;

  if (!strcmp(f, "getAccessToken")) return print_token(getAccessToken(name, valid, scope));
  if (!strcmp(f, "getAccessToken2")) return print_token(getAccessToken2(name, valid, scope, hint));
  if (!strcmp(f, "getAccessToken3")) return print_token(getAccessToken3(name, valid, scope, hint, audience));
  if (!strcmp(f, "getAccessTokenForIssuer3"))
    return print_token(getAccessTokenForIssuer3(name, valid, scope, hint, audience));
  if (!strcmp(f, "getTokenResponse3")) return print_response(getTokenResponse3(name, valid, scope, hint, audience));
  if (!strcmp(f, "getTokenResponseForIssuer3"))
    return print_response(getTokenResponseForIssuer3(name, valid, scope, hint, audience));
  if (!strcmp(f, "getAgentTokenResponse"))
    return print_agent_response(getAgentTokenResponse(name, valid, scope, hint, audience));
  if (!strcmp(f, "getAgentTokenResponseForIssuer"))
    return print_agent_response(getAgentTokenResponseForIssuer(name, valid, scope, hint, audience));
  return 64;
}
