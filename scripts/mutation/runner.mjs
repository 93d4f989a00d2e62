// A test runner for Stryker that keeps everything in one process: the tests are bundled and loaded once,
// and a mutant runs those tests that reach it, the quickest first, until one fails. vitest's own runner
// loads all modules for each mutant, which takes twenty times as long as the tests.
// https://stryker-mutator.io/docs/stryker-js/guides/create-a-plugin/

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { commonTokens, declareClassPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin'
import {
  DryRunStatus,
  determineHitLimitReached,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner'
import { globSync } from 'tinyglobby'
import { bundleTests } from './bundle.mjs'
import { exclude, include } from './config.mjs'

/** Where the instrumented code looks which mutant is active, and counts. */
const state = (globalThis.__stryker__ ??= {})

class InProcessRunner {
  #file = ''
  #tests = []
  #loads = 0
  /** Names of tests that caught a mutant, the last first. */
  #catchers = []

  capabilities() {
    return { reloadEnvironment: false }
  }

  async init() {
    const root = process.cwd()
    // Those of the sandbox, where the mutants are.
    const { aliases } = await import(pathToFileURL(join(root, 'scripts/aliases.mjs')).href)
    const files = globSync(include, { cwd: root, ignore: exclude, absolute: true }).sort()
    this.#file = join(root, `tests-${process.pid}.mjs`)
    await bundleTests({ root, files, aliases, file: this.#file })
    await this.#load()
  }

  async #load() {
    const bundle = await import(`${pathToFileURL(this.#file).href}?${this.#loads++}`)
    const times = new Map(this.#tests.map(test => [test.id, test.ms]))
    let from = 0
    for (const [file, load] of bundle.files) {
      await load()
      for (const test of bundle.tests.slice(from)) {
        test.file = file
        test.id = `${file}: ${test.name}`
        test.ms = times.get(test.id) ?? 0
      }
      from = bundle.tests.length
    }
    this.#tests = bundle.tests
  }

  async dryRun() {
    // Instrumented modules hold on to this object from the first time they count.
    const results = []
    for (const test of this.#tests) {
      state.currentTestId = test.id
      const start = performance.now()
      const error = await failure(test)
      test.ms = performance.now() - start
      results.push(resultOf(test, error))
    }
    state.currentTestId = undefined
    const { mutantCoverage } = state
    return { status: DryRunStatus.Complete, tests: results, mutantCoverage }
  }

  async mutantRun({ activeMutant, testFilter, hitLimit, disableBail }) {
    const wanted = testFilter ? new Set(testFilter) : undefined
    const rank = ({ id, ms }) => (this.#catchers.includes(id) ? ms - 1e6 : ms)
    const order = this.#tests.filter(({ id }) => wanted?.has(id) ?? true)
    order.sort((a, b) => rank(a) - rank(b))
    const results = []
    for (const test of order) {
      const { error, hits } = await this.#failureWith(activeMutant.id, hitLimit, test)
      const timeout = determineHitLimitReached(hits, hitLimit)
      if (timeout) {
        return toMutantRunResult(timeout)
      }
      results.push(resultOf(test, error))
      if (error && !disableBail) {
        break
      }
    }
    return toMutantRunResult({ status: DryRunStatus.Complete, tests: results })
  }

  /**
   * What a test threw with a mutant. Where it fails without the mutant, too, an earlier one left something
   * behind, and what it does in fresh modules counts.
   */
  async #failureWith(id, hitLimit, test) {
    const found = await failureWhile(id, hitLimit, test)
    if (!found.error) {
      return found
    }
    this.#catchers = [test.id, ...this.#catchers.filter(other => other !== test.id)].slice(0, 12)
    if (!(await failure(test))) {
      return found
    }
    await this.#load()
    const fresh = this.#tests.find(other => other.id === test.id)
    return failureWhile(id, hitLimit, fresh)
  }
}

/** What a test threw while a mutant was active, and how often the mutant was met. */
async function failureWhile(id, hitLimit, test) {
  Object.assign(state, { activeMutant: id, hitCount: 0, hitLimit })
  const error = await failure(test)
  const hits = state.hitCount
  Object.assign(state, { activeMutant: undefined, hitCount: undefined, hitLimit: undefined })
  return { error, hits }
}

function resultOf({ id, name, file, ms }, error) {
  const result = { id, name, fileName: file, timeSpentMs: ms }
  return error
    ? { ...result, status: TestStatus.Failed, failureMessage: String(error.message ?? error) }
    : { ...result, status: TestStatus.Success }
}

/** Runs a test and its hooks; what they threw first. */
async function failure({ run, blocks }) {
  const { activeMutant } = state
  let thrown
  const attempt = async action => {
    try {
      await action()
    } catch (error) {
      thrown ??= error ?? new Error('undefined was thrown')
    }
  }
  // Once for many tests, so without what one of them is run for.
  state.activeMutant = undefined
  for (const hook of blocks.flatMap(block => block.beforeAll.splice(0))) {
    await attempt(hook)
  }
  state.activeMutant = activeMutant
  for (const action of [...blocks.flatMap(block => block.beforeEach), run]) {
    if (!thrown) {
      await attempt(action)
    }
  }
  for (const hook of blocks.toReversed().flatMap(block => block.afterEach)) {
    await attempt(hook)
  }
  return thrown
}

InProcessRunner.inject = tokens(commonTokens.options)

export const strykerPlugins = [
  declareClassPlugin(PluginKind.TestRunner, 'in-process', InProcessRunner),
]
