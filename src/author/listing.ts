/** What `kiln targets` shows. */

export interface ParameterListing {
  readonly name: string;
  readonly kind: "string" | "flag" | "integer" | "choice";
  readonly choices?: readonly string[];
  /** Absent: it must be given. */
  readonly default?: string | number | boolean;
  readonly doc?: string;
}

export interface TargetListing {
  /** Name of the export, `""` for the default one; `group/key` for a member of a group. */
  readonly name: string;
  readonly kind: "derivation" | "output" | "target" | "perSystem" | "group";
  readonly parameters?: readonly ParameterListing[];
  readonly systems?: readonly string[];
}
