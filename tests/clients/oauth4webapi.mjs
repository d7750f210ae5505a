// oauth4webapi as a client of the token endpoint and of the FHIR interface, and as a resource server of its own.
import * as oauth from 'oauth4webapi'
import { run } from './run.mjs'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

async function serverOf(issuer, wellKnown) {
  const url = new URL(issuer)
  const response = wellKnown
    ? await fetch(issuer + wellKnown)
    : await oauth.discoveryRequest(url, { algorithm: 'oauth2' })
  return oauth.processDiscoveryResponse(url, response)
}

async function authentication(jwk) {
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  return oauth.PrivateKeyJwt({ key, kid: jwk.kid })
}

// The library leaves the second try to its caller: it has taken the nonce from the refusal already.
async function withNonce(ask, counted) {
  try {
    return await ask()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    counted.nonces += 1
    return ask()
  }
}

async function granted({ issuer, clientId, jwk, grant, parameters }, counted, DPoP) {
  const server = await serverOf(issuer)
  const client = { client_id: clientId }
  const asked = [server, client, await authentication(jwk)]
  const answer = await withNonce(async () => {
    if (grant === 'client_credentials') {
      const response = await oauth.clientCredentialsGrantRequest(...asked, parameters, { DPoP })
      return oauth.processClientCredentialsResponse(server, client, response)
    }
    const response = await oauth.genericTokenEndpointRequest(...asked, TOKEN_EXCHANGE, parameters, { DPoP })
    return oauth.processGenericTokenEndpointResponse(server, client, response)
  }, counted)
  return { server, client, answer, authenticate: asked[2] }
}

const handle = async (clientId) => oauth.DPoP({ client_id: clientId }, await oauth.generateKeyPair('ES256'))

// What the library would send to a resource server, kept instead of sent.
async function heldBack(accessToken, DPoP, url) {
  let held
  await oauth.protectedResourceRequest(accessToken, 'GET', new URL(url), new Headers(), null, {
    DPoP,
    [oauth.customFetch]: async (address, init) => {
      held = new Request(address, init)
      return new Response(null, { status: 204 })
    },
  })
  return held
}

async function refusalOf(attempt) {
  try {
    await attempt()
    return null
  } catch (error) {
    return { name: error.name, code: error.code, error: error.error, status: error.status }
  }
}

await run({
  metadata: async ({ issuer, wellKnown }) => serverOf(issuer, wellKnown),

  // A token, a call with it, then the token held against the published keys and revoked.
  journey: async (given) => {
    const counted = { nonces: 0 }
    const DPoP = await handle(given.clientId)
    const { server, client, answer, authenticate } = await granted(given, counted, DPoP)
    const url = new URL(given.resource)
    const headers = new Headers({ accept: 'application/fhir+json' })
    const call = () => oauth.protectedResourceRequest(answer.access_token, 'GET', url, headers, null, { DPoP })
    const response = await withNonce(call, counted)

    const request = await heldBack(answer.access_token, DPoP, given.resource)
    const claims = await oauth.validateJwtAccessToken(server, request, given.audience)
    const stolen = await heldBack(answer.access_token, await handle(given.clientId), given.resource)
    const refused = {
      otherAudience: await refusalOf(() => oauth.validateJwtAccessToken(server, request, `${given.audience}/other`)),
      otherKey: await refusalOf(() => oauth.validateJwtAccessToken(server, stolen, given.audience)),
    }
    const revoked = await oauth.revocationRequest(server, client, authenticate, answer.access_token)
    await oauth.processRevocationResponse(revoked)
    return { answer, claims, refused, nonces: counted.nonces, status: response.status, body: await response.json() }
  },

  refusedGrant: async (given) => refusalOf(async () => granted(given, { nonces: 0 }, await handle(given.clientId))),
})
