// fhir-kit-client against a FHIR base: publish, search with pages, read.
import { Client } from 'fhir-kit-client'
import { run } from './run.mjs'

// Links in answers are absolute and name the service itself; the helper in front of it has another address.
const below = (url) => url.slice(url.indexOf('/fhir/') + '/fhir/'.length)

await run({
  discover: async ({ base }) => {
    const client = new Client({ baseUrl: base })
    const { fhirVersion, rest } = await client.capabilityStatement()
    const { token_endpoint } = await client.request('.well-known/smart-configuration')
    return { fhirVersion, types: rest[0].resource.map(({ type }) => type), token_endpoint }
  },

  publish: async ({ base, bundle, reference }) => {
    const client = new Client({ baseUrl: base })
    const set = await client.transaction({ body: bundle })
    const one = await client.create({ resourceType: 'DocumentReference', body: reference })
    return { set, one, status: Client.httpFor(one).response.status }
  },

  find: async ({ base, searchParams, postSearch }) => {
    const client = new Client({ baseUrl: base })
    const pages = []
    let bundle = await client.search({ resourceType: 'DocumentReference', searchParams, options: { postSearch } })
    while (bundle) {
      pages.push(bundle)
      const link = (bundle.link ?? []).map((one) => ({ ...one, url: below(one.url) }))
      bundle = await client.nextPage({ bundle: { link } })
    }
    return { pages }
  },

  read: async ({ base, id }) => {
    const client = new Client({ baseUrl: base })
    const reference = await client.read({ resourceType: 'DocumentReference', id })
    const binary = await client.request(below(reference.content[0].attachment.url))
    return { reference, binary }
  },

  readUnknown: async ({ base, id }) => {
    try {
      return await new Client({ baseUrl: base }).read({ resourceType: 'DocumentReference', id })
    } catch ({ response }) {
      return response
    }
  },
})
