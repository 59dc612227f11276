/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export declare function randomFrom(start: number): () => number;
