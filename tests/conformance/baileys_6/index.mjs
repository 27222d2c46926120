// The last of Baileys' sixth generation, beside the one that the folder above installs.
export * from 'baileys';
export { default } from 'baileys';
