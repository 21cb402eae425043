// Asks the IAM simulator about every request that comes on standard input, a JSON list, and prints the answers.
// It is found in the folder that IAM_SIMULATOR names, where scripts/test installs it.

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const folder = createRequire(pathToFileURL(`${process.env.IAM_SIMULATOR}/package.json`))
const { runSimulation } = folder('@cloud-copilot/iam-simulate')

const answers = []
for (const asked of JSON.parse(readFileSync(0, 'utf8'))) {
  const done = await runSimulation(
    { serviceControlPolicies: [], resourceControlPolicies: [], ...asked },
    {},
  )
  answers.push(
    done.resultType === 'error' ? { error: done.errors } : { result: done.overallResult, ignored: done.result?.ignoredContextKeys ?? [] },
  )
}
process.stdout.write(JSON.stringify(answers))
