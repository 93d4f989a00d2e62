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
    const wanted = new Set(testFilter ?? this.#tests.map(({ id }) => id))
    const rank = ({ id, ms }) => (this.#catchers.includes(id) ? ms - 1e6 : ms)
    const order = this.#tests.filter(({ id }) => wanted.has(id)).sort((a, b) => rank(a) - rank(b))
    state.hitCount = 0
    state.hitLimit = hitLimit
    const results = []
    for (const test of order) {
      state.activeMutant = activeMutant.id
      const error = await failure(test)
      state.activeMutant = undefined
      results.push(resultOf(test, error))
      if (error) {
        await this.#caughtBy(test)
        if (!disableBail) {
          break
        }
      }
    }
    const timeout = determineHitLimitReached(state.hitCount, hitLimit)
    state.hitCount = undefined
    return toMutantRunResult(timeout ?? { status: DryRunStatus.Complete, tests: results })
  }

  /** Fresh modules, if the mutant left something behind that makes the test fail without it. */
  async #caughtBy(test) {
    this.#catchers = [test.id, ...this.#catchers.filter(id => id !== test.id)].slice(0, 12)
    state.hitCount = undefined
    if (await failure(test)) {
      await this.#load()
    }
  }
}

function resultOf({ id, name, file, ms }, error) {
  const common = { id, name, fileName: file, timeSpentMs: ms }
  return error
    ? { ...common, status: TestStatus.Failed, failureMessage: String(error.message ?? error) }
    : { ...common, status: TestStatus.Success }
}

/** Runs a test and its hooks; what it threw. */
async function failure({ run, blocks }) {
  try {
    for (const block of blocks) {
      for (const hook of block.beforeAll.splice(0)) {
        await hook()
      }
      for (const hook of block.beforeEach) {
        await hook()
      }
    }
    await run({})
    return undefined
  } catch (error) {
    return error ?? new Error('undefined was thrown')
  } finally {
    for (const hook of blocks.toReversed().flatMap(block => block.afterEach)) {
      await hook()
    }
  }
}

InProcessRunner.inject = tokens(commonTokens.options)

export const strykerPlugins = [
  declareClassPlugin(PluginKind.TestRunner, 'in-process', InProcessRunner),
]
