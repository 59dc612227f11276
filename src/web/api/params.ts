/** What parameters of several routes are made of. */
import { z } from "zod";
import { isDerivationPath, parseStorePath, type StorePath } from "../../format/store-path.ts";

export const buildID: z.ZodString = z.string().regex(/^[0-9a-f-]{1,64}$/, "not the id of a build");

export const storePath: z.ZodPipe<z.ZodString, z.ZodTransform<StorePath, string>> = z
  .string()
  .max(8192)
  .transform((text, context): StorePath => {
    try {
      return parseStorePath(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : "" });
      return z.NEVER;
    }
  });

export const derivationPath: z.ZodType<StorePath> = storePath.refine(isDerivationPath, {
  error: "not the store path of a derivation",
});

/** What names a result. */
export const resultShape: {
  readonly id: z.ZodString;
  readonly drvPath: z.ZodType<StorePath>;
} = { id: buildID, drvPath: derivationPath };

/** `true` or `false` in a query. */
export const flag: z.ZodPipe<
  z.ZodEnum<{ true: "true"; false: "false" }>,
  z.ZodTransform<boolean, "true" | "false">
> = z.enum(["true", "false"]).transform((text) => text === "true");
