// Medplum's client against a FHIR base: publish, search with pages, read, download.
import { MedplumClient, OperationOutcomeError } from '@medplum/core'
import { run } from './run.mjs'

// Its own server's paths differ from ours; it keeps what it read for a minute, which a test must not believe.
const clientOf = (base) =>
  new MedplumClient({ baseUrl: new URL('/', base).href, fhirUrlPath: 'fhir', fetch, cacheTime: 0 })

const path = (url) => url.slice(url.indexOf('/fhir/'))

await run({
  publish: async ({ base, bundle, reference }) => {
    const client = clientOf(base)
    return { set: await client.executeBatch(bundle), one: await client.createResource(reference) }
  },

  find: async ({ base, query }) => {
    const client = clientOf(base)
    const pages = [await client.search('DocumentReference', query)]
    for (;;) {
      const next = pages.at(-1).link?.find(({ relation }) => relation === 'next')
      if (!next) return { pages }
      pages.push(await client.get(new URL(path(next.url), base)))
    }
  },

  findByItself: async ({ base, query }) => {
    const ids = []
    try {
      for await (const page of clientOf(base).searchResourcePages('DocumentReference', query)) {
        ids.push(...page.map(({ id }) => id))
      }
      return { ids }
    } catch (error) {
      if (!(error instanceof OperationOutcomeError)) throw error
      return { ids, outcome: error.outcome }
    }
  },

  read: async ({ base, id }) => {
    const client = clientOf(base)
    const reference = await client.readResource('DocumentReference', id)
    const address = new URL(path(reference.content[0].attachment.url), base)
    const blob = await client.download(address)
    const bytes = Buffer.from(await blob.arrayBuffer())
    const binary = await client.readResource('Binary', address.pathname.split('/').at(-1))
    return { reference, type: blob.type, data: bytes.toString('base64'), binary }
  },
})
