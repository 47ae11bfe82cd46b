package account

import "oidc-agent/proto/cjson"

// builtinIssuers are public providers to choose from where the administrator has listed none. Their URLs
// are spelt as the providers spell them, for they must match what discovery says.
func builtinIssuers() []*cjson.Object {
	issuers := [...]string{
		"https://b2access.eudat.eu:8443/oauth2",
		"https://login.helmholtz.de/oauth2",
		"https://cilogon.org",
		"https://login.elixir-czech.org/oidc/",
		"https://aai-dev.egi.eu/auth/realms/egi",
		"https://oidc.scc.kit.edu/auth/realms/kit",
		"https://wlcg.cloud.cnaf.infn.it/",
		"https://alice-auth.cern.ch/",
		"https://atlas-auth.cern.ch/",
		"https://cms-auth.cern.ch/",
		"https://lhcb-auth.cern.ch/",
		"https://dteam-auth.cern.ch/",
		"https://alice-auth.web.cern.ch/",
		"https://atlas-auth.web.cern.ch/",
		"https://cms-auth.web.cern.ch/",
		"https://lhcb-auth.web.cern.ch/",
		"https://aai.egi.eu/auth/realms/egi",
		"https://accounts.google.com",
		"https://iam.deep-hybrid-datacloud.eu/",
		"https://bildungsproxy.aai.dfn.de",
		"https://iam.extreme-datacloud.eu/",
		"https://aai-demo.egi.eu/auth/realms/egi",
		"https://iam-test.indigo-datacloud.eu/",
		"https://auth.didmos.nfdi-aai.de",
		"https://login-dev.helmholtz.de/oauth2",
		"https://iam-demo.cloud.cnaf.infn.it/",
		"https://fels.scc.kit.edu/oidc/realms/fels",
		"https://keycloak.desy.de/auth/realms/production",
		"https://regapp.nfdi-aai.de/oidc/realms/nfdi_demo",
	}
	objects := make([]*cjson.Object, len(issuers))
	for i, issuer := range issuers {
		objects[i] = cjson.New().SetText("issuer", issuer)
	}
	return objects
}
