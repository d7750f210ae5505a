// Runs one step of a client's script: a JSON object on standard input, its result as JSON on standard output.
import { text } from 'node:stream/consumers'

export async function run(steps) {
  const { step, ...given } = JSON.parse(await text(process.stdin))
  process.stdout.write(JSON.stringify(await steps[step](given)))
}
