// The table of docs/quality.md for one folder, from what Stryker last wrote:
//   node scripts/mutation/table.mjs ops [--alive]
// --alive lists the mutants that live, with their place, instead.

import { readFileSync } from 'node:fs'

const [folder, option] = process.argv.slice(2)
const report = JSON.parse(readFileSync(`out/mutation/${folder}-report.json`, 'utf8'))

const isAlive = ({ status }) => status === 'Survived' || status === 'NoCoverage'
const counts = ({ status }) => isAlive({ status }) || status === 'Killed' || status === 'Timeout'

const rows = Object.entries(report.files).flatMap(([path, { mutants }]) => {
  const total = mutants.filter(counts)
  const name = path.replace(`src/${folder}/`, '')
  return total.length > 0 ? [{ name, total: total.length, alive: mutants.filter(isAlive) }] : []
})

const row = (name, total, alive) =>
  `| ${name} | ${total.toLocaleString('en')} | ${alive} | ${(100 - (100 * alive) / total).toFixed(1)} % |`

const sum = (list, of) => list.reduce((total, item) => total + of(item), 0)

function printTable() {
  const whole = rows.filter(({ alive }) => alive.length === 0)
  console.log(`| file of \`src/${folder}\` | mutants | alive | score |\n|---|--:|--:|--:|`)
  for (const { name, total, alive } of rows.filter(file => file.alive.length > 0)) {
    console.log(row(`\`${name}\``, total, alive.length))
  }
  console.log(
    row(
      `${whole.length} other files`,
      sum(whole, ({ total }) => total),
      0,
    ),
  )
  const alive = sum(rows, file => file.alive.length)
  console.log(
    row(
      'together',
      sum(rows, ({ total }) => total),
      alive,
    ),
  )
}

function printAlive() {
  for (const { name, alive } of rows) {
    for (const { location, mutatorName, replacement } of alive) {
      console.log(
        `${name}:${location.start.line} ${mutatorName} → ${(replacement ?? '').split('\n')[0]}`,
      )
    }
  }
}

if (option === '--alive') {
  printAlive()
} else {
  printTable()
}
