// Modules: named parameters and children, in the order of their definition, so that paths are those
// of the checkpoint (`model.layers.0.self_attn.q_proj.weight`). A call of `forward` is a scope:
// what it does not return, and backward does not need, is given back when it ends.

import { Parameter } from '../core/parameter.ts'
import { scoped } from '../core/scope.ts'

/** What a module is made of: parameters, modules, and lists of modules. */
export type Member = Parameter | Module

function joined(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`
}

/**
 * A part of a model. Subclasses keep parameters and modules (or arrays of modules) as properties
 * and define `forward`.
 *
 * @example
 * ```ts
 * import { Linear, Module, relu, type Tensor, tensor } from 'lowrank'
 *
 * class Mlp extends Module {
 *   up = new Linear(4, 8)
 *   down = new Linear(8, 4)
 *   forward(x: Tensor): Tensor {
 *     return this.down.forward(relu(this.up.forward(x)))
 *   }
 * }
 * console.log(new Mlp().forward(tensor([1, 2, 3, 4], [1, 4])).shape) // [1, 4]
 * ```
 */
export abstract class Module {
  // biome-ignore lint/suspicious/noExplicitAny: every module has a signature of its own
  abstract forward(...inputs: any[]): any

  constructor() {
    const forward = this.forward
    Object.defineProperty(this, 'forward', {
      value: (...inputs: unknown[]): unknown => scoped(() => forward.apply(this, inputs)),
      writable: true,
      configurable: true,
    })
  }

  /** Direct members by name; a member of a list is named `list.0`. */
  *members(): Generator<[name: string, member: Member]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Parameter || value instanceof Module) {
        yield [name, value]
      } else if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) {
          if (item instanceof Module) {
            yield [`${name}.${i}`, item]
          }
        }
      }
    }
  }

  /** Puts another module in the place of the direct member `name`. */
  replaceMember(name: string, module: Module): void {
    const [property, index] = name.split('.')
    const own = this as unknown as Record<string, Module | Module[]>
    const value = own[property]
    if (Array.isArray(value)) {
      value[Number(index)] = module
    } else {
      own[property] = module
    }
  }

  /** The module that `path` is a direct member of, and its name there. */
  ownerOf(path: string): [owner: Module, name: string] | undefined {
    for (const [name, member] of this.members()) {
      if (name === path) {
        return [this, name]
      }
      if (member instanceof Module && path.startsWith(`${name}.`)) {
        return member.ownerOf(path.slice(name.length + 1))
      }
    }
    return undefined
  }

  /** Every module below this one, and itself under the empty path, each once. */
  *namedModules(prefix = '', seen: Set<Module> = new Set()): Generator<[string, Module]> {
    if (seen.has(this)) {
      return
    }
    seen.add(this)
    yield [prefix, this]
    for (const [name, member] of this.members()) {
      if (member instanceof Module) {
        yield* member.namedModules(joined(prefix, name), seen)
      }
    }
  }

  /** Every parameter by its path, each once: a tied one appears under its first name. */
  *namedParameters(): Generator<[string, Parameter]> {
    const seen = new Set<Parameter>()
    for (const [path, module] of this.namedModules()) {
      for (const [name, member] of module.members()) {
        if (member instanceof Parameter && !seen.has(member)) {
          seen.add(member)
          yield [joined(path, name), member]
        }
      }
    }
  }

  parameters(): Parameter[] {
    return [...this.namedParameters()].map(([, parameter]) => parameter)
  }

  /** The parameters that training changes. */
  trainable(): Parameter[] {
    return this.parameters().filter(parameter => parameter.requiresGrad)
  }

  freeze(): this {
    for (const parameter of this.parameters()) {
      parameter.freeze()
    }
    return this
  }

  /** Trains all parameters; half precision becomes float32. */
  unfreeze(): this {
    for (const parameter of this.parameters()) {
      parameter.unfreeze()
    }
    return this
  }

  /** Gives the memory of all parameters back; the module cannot be used afterwards. */
  dispose(): void {
    for (const [, member] of this.members()) {
      member.dispose()
    }
  }
}
