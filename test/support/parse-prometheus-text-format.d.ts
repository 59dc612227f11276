declare module "parse-prometheus-text-format" {
  /** Families of metrics, as prom2json prints them. */
  export default function parse(text: string): never[];
}
