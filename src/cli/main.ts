#!/usr/bin/env node
// The command line. Options are read here and nowhere else; each command is one file that calls the
// library.

import { Command, Option } from 'commander'
import { RULES } from '../lora/combine/index.ts'
import { TRAINING_DEFAULTS } from '../train/index.ts'
import { type AnalyzeArguments, runAnalyze } from './analyze.ts'
import { type CombineArguments, runCombine } from './combine.ts'
import { type EvaluateArguments, runEvaluate } from './evaluate.ts'
import { EXPORT_FORMATS, type ExportArguments, runExport } from './export.ts'
import { runFinetune } from './finetune.ts'
import type { FinetuneArguments } from './finetune_arguments.ts'
import { type FingerprintArguments, runFingerprint } from './fingerprint.ts'
import { type GenerateArguments, runGenerate } from './generate.ts'
import { type InspectArguments, runInspect } from './inspect.ts'
import { type MergeArguments, runMerge } from './merge.ts'
import { Output, type OutputOptions, reportError } from './output.ts'
import { bytes, count, countOrNone, number, numbers } from './values.ts'
import { runVerify, VERIFY_BACKENDS, type VerifyArguments } from './verify.ts'

/** Runs a command; whatever it throws becomes one line and a non-zero exit code. */
function action<A>(run: (args: A, output: Output) => Promise<void>) {
  return async (options: A & OutputOptions): Promise<void> => {
    try {
      await run(options, new Output(options))
    } catch (error) {
      reportError(error, options)
    }
  }
}

function command(program: Command, name: string, description: string, example: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--json', 'print JSON lines, as without a terminal', false)
    .option('--debug', 'print the stack of an error', false)
    .addHelpText('after', `\nExample:\n  ${example}`)
}

function finetuneCommand(program: Command): void {
  const { lr, epochs, batchSize, gradientAccumulationSteps } = TRAINING_DEFAULTS
  const { weightDecay, maxGradNorm, schedule, warmupRatio, seed } = TRAINING_DEFAULTS
  command(
    program,
    'finetune',
    'fine-tune a model with LoRA and write a PEFT adapter',
    'lowrank finetune --model ./SmolLM2-135M --data train.jsonl --out adapter/',
  )
    .requiredOption('--model <dir>', 'model in the Hugging Face layout')
    .requiredOption('--data <file>', 'JSON lines of {"prompt", "completion"} or {"text"}')
    .requiredOption('--out <dir>', 'where the adapter goes')
    .option('--eval-data <file>', 'held-out JSON lines; the adapter of the lowest loss is kept')
    .option('--r <n>', 'rank of the update', count, 8)
    .option('--lora-alpha <x>', 'the update is scaled by alpha / r', number, 16)
    .option('--lora-dropout <p>', "dropout on the update's input", number, 0)
    .option(
      '--target-modules <names>',
      "comma-separated names, a pattern, or all-linear (default: PEFT's for the model type)",
    )
    .option('--use-rslora', 'scale by alpha / √r', false)
    .option('--lr <x>', 'peak learning rate', number, lr)
    .option('--epochs <n>', 'passes over the data', count, epochs)
    .option('--batch-size <n>', 'sequences per forward pass', count, batchSize)
    .option(
      '--gradient-accumulation-steps <n>',
      'forward passes per optimizer step',
      count,
      gradientAccumulationSteps,
    )
    .option('--weight-decay <x>', 'decoupled weight decay', number, weightDecay)
    .option('--max-grad-norm <x>', 'clip gradients to this norm', number, maxGradNorm)
    .addOption(
      new Option('--schedule <name>', 'how the rate falls')
        .choices(['constant', 'linear', 'cosine'])
        .default(schedule),
    )
    .option('--warmup-ratio <x>', 'share of steps in which the rate rises', number, warmupRatio)
    .option('--max-tokens <n>', "longest sequence (default: the model's)", count)
    .option('--eval-every <n>', 'evaluate every n steps (default: each epoch)', count)
    .option('--seed <n>', 'seed of everything random', number, seed)
    .option('--max-memory <size>', 'refuse to start above this, e.g. 512M', bytes)
    .option('--samples <n>', 'examples shown before and after in the report', countOrNone, 8)
    .option('--sample-data <file>', 'where they come from (default: --eval-data, else --data)')
    .option('--report <file>', 'where the report goes (default: beside the adapter)')
    .option('--trace <file>', 'where the time of every op and kernel goes (Chrome trace)')
    .option('--provenance', 'also write lowrank.json: the base by its hash, what computed', false)
    .option('--resume', 'go on with a run that was stopped', false)
    .option('--overwrite', 'replace what is in the output directory', false)
    .action(action<FinetuneArguments>(runFinetune))
}

function evaluateCommand(program: Command): void {
  command(
    program,
    'eval',
    'loss and exact match on held-out examples',
    'lowrank eval --model ./SmolLM2-135M --adapter adapter/ --data held-out.jsonl',
  )
    .requiredOption('--model <dir>', 'model in the Hugging Face layout')
    .option('--adapter <dir>', 'PEFT adapter (default: the base alone)')
    .requiredOption('--data <file>', 'JSON lines of {"prompt", "completion"} or {"text"}')
    .option('--batch-size <n>', 'sequences at once', count, 32)
    .option('--show-errors <n>', 'print so many wrong answers', countOrNone, 0)
    .action(action<EvaluateArguments>(runEvaluate))
}

function generateCommand(program: Command): void {
  command(
    program,
    'generate',
    'continue a prompt',
    'lowrank generate --model ./SmolLM2-135M --adapter adapter/ --prompt "Dim the hall lamp"',
  )
    .requiredOption('--model <dir>', 'model in the Hugging Face layout')
    .option('--adapter <dir>', 'PEFT adapter (default: the base alone)')
    .requiredOption('--prompt <text>', 'what to continue')
    .option('--max-new-tokens <n>', 'at most this many tokens', count, 256)
    .option('--temperature <x>', '0 takes the best token, always', number, 0)
    .option('--top-k <n>', 'only the k best tokens', count)
    .option('--top-p <x>', 'only the best tokens that reach this probability', number)
    .option('--repetition-penalty <x>', 'above 1: fewer repetitions', number, 1)
    .option('--seed <n>', 'seed of the draws', number, 0)
    .action(action<GenerateArguments>(runGenerate))
}

function mergeCommand(program: Command): void {
  command(
    program,
    'merge',
    'fold an adapter into its base and write a model',
    'lowrank merge --model ./SmolLM2-135M --adapter adapter/ --out merged/',
  )
    .requiredOption('--model <dir>', 'model in the Hugging Face layout')
    .requiredOption('--adapter <dir>', 'PEFT adapter')
    .requiredOption('--out <dir>', 'where the model goes')
    .addOption(
      new Option('--dtype <name>', 'element type; half precision rounds the update')
        .choices(['float32', 'float16', 'bfloat16'])
        .default('float32'),
    )
    .option('--overwrite', 'replace what is in the output directory', false)
    .action(action<MergeArguments>(runMerge))
}

function exportCommand(program: Command): void {
  command(
    program,
    'export',
    'write an adapter for servers, llama.cpp or mlx-lm, or one of mlx-lm as PEFT',
    'lowrank export --adapter adapter/ --to gguf --model ./SmolLM2-135M --out adapter.gguf',
  )
    .requiredOption('--adapter <dir>', 'PEFT adapter (of mlx-lm with --to peft)')
    .addOption(
      new Option('--to <format>', 'who is to read it')
        .choices(EXPORT_FORMATS)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <path>', 'the directory, or the GGUF file')
    .option('--model <dir>', 'the base, for gguf: its config.json names the architecture')
    .addOption(
      new Option('--outtype <type>', 'element type of a GGUF file')
        .choices(['f32', 'f16'])
        .default('f32'),
    )
    .option('--overwrite', 'replace what is there', false)
    .action(action<ExportArguments>(runExport))
}

function combineCommand(program: Command): void {
  command(
    program,
    'combine',
    'make one adapter of several',
    'lowrank combine --adapters a/ b/ --weights 0.7,0.3 --type cat --out both/',
  )
    .requiredOption('--adapters <dir...>', 'PEFT adapters of one base')
    .requiredOption('--out <dir>', 'where the adapter goes')
    .addOption(
      new Option('--type <name>', 'how they are combined')
        .choices(Object.keys(RULES))
        .default('svd'),
    )
    .option('--weights <list>', 'comma-separated factors (default: 1 each)', numbers)
    .option('--svd-rank <n>', "rank after svd (default: the largest of the adapters')", count)
    .option('--density <x>', 'share of entries that pruning keeps', number)
    .addOption(
      new Option('--majority-sign-method <name>', 'what elects a sign')
        .choices(['total', 'frequency'])
        .default('total'),
    )
    .option('--seed <n>', 'seed of dare', number, 0)
    .option('--peft-rslora-scale', 'the result of PEFT 0.21 for rank-stabilised adapters', false)
    .option('--overwrite', 'replace what is in the output directory', false)
    .action(action<CombineArguments>(runCombine))
}

function analyzeCommand(program: Command): void {
  command(
    program,
    'analyze',
    'what an adapter did to its base: change, singular values, amplification, similarity',
    'lowrank analyze --model ./SmolLM2-135M --adapter adapter/ --report analysis.html',
  )
    .requiredOption('--model <dir>', 'model in the Hugging Face layout')
    .requiredOption('--adapter <dir>', 'PEFT adapter')
    .option('--other <dir>', 'a second adapter of the same base, to compare')
    .option('--report <file>', 'where the pictures go')
    .action(action<AnalyzeArguments>(runAnalyze))
}

function inspectCommand(program: Command): void {
  command(
    program,
    'inspect',
    'what is in a model or adapter directory',
    'lowrank inspect ./SmolLM2-135M',
  )
    .argument('<dir>', 'model or adapter')
    .option('--batch-size <n>', 'sequences, for the memory plan', count, 4)
    .option('--tokens <n>', 'tokens per sequence, for the memory plan', count, 256)
    .option('--r <n>', 'rank, for the memory plan', count, 8)
    .action((dir: string, options: Omit<InspectArguments, 'directory'> & OutputOptions) =>
      action<InspectArguments>(runInspect)({ ...options, directory: dir }),
    )
}

function verifyCommand(program: Command): void {
  command(
    program,
    'verify',
    'run conformance cases here, or put them to another program',
    'lowrank verify conformance --command "python3 conformance/examples/lora.py"',
  )
    .argument('<dir>', 'a root of families of cases, or the folder of one family')
    .addOption(
      new Option('--backend <name>', 'what computes').choices(VERIFY_BACKENDS).default('wasm'),
    )
    .option('--command <text>', 'a program that is called with the directory of each case')
    .action((dir: string, options: Omit<VerifyArguments, 'directory'> & OutputOptions) =>
      action<VerifyArguments>(runVerify)({ ...options, directory: dir }),
    )
}

function fingerprintCommand(program: Command): void {
  command(
    program,
    'fingerprint',
    'hashes of a fixed small job, the same wherever the kernels compute the same bits',
    'lowrank fingerprint --expect conformance/fingerprint.json',
  )
    .option('--seed <n>', 'seed of everything random', number, 0)
    .option('--expect <file>', 'a known answer, as --json prints it: what differs is named')
    .action(action<FingerprintArguments>(runFingerprint))
}

const program = new Command('lowrank')
  .description('LoRA fine-tuning in JavaScript')
  .showHelpAfterError('(--help shows the options)')
finetuneCommand(program)
evaluateCommand(program)
generateCommand(program)
mergeCommand(program)
exportCommand(program)
combineCommand(program)
analyzeCommand(program)
inspectCommand(program)
verifyCommand(program)
fingerprintCommand(program)
await program.parseAsync()
