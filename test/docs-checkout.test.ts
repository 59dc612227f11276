// The commands of those documents that install a checkout, or have it do something.
import { needsCheckout } from "./support/reader.ts";
import { documentsWithBlocks, runDocuments } from "./support/run-documents.ts";

runDocuments(documentsWithBlocks.filter(({ blocks }) => needsCheckout(blocks)));
