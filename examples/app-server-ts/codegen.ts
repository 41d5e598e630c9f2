import type { CodegenConfig } from '@graphql-codegen/cli';

// strictScalars: a scalar that is missing here is an error, not `any`.
const config = {
  scalars: { ID: 'string', DateTime: 'string', URL: 'string', _Any: 'unknown' },
  strictScalars: true,
  documentMode: 'string',
  enumsAsTypes: true,
  onlyOperationTypes: true,
  useTypeImports: true,
};

export default {
  schema: '../../docs/schema.graphql',
  emitLegacyCommonJSImports: false,
  generates: {
    'src/gql/server/': {
      preset: 'client',
      documents: ['src/rollcall.ts', 'src/server.ts'],
      presetConfig: { fragmentMasking: false },
      config,
    },
    // The front end's documents are persisted: Rollcall accepts no others from the app's users.
    'src/gql/front/': {
      preset: 'client',
      documents: 'src/front.ts',
      presetConfig: { fragmentMasking: false, persistedDocuments: { hashAlgorithm: 'sha256' } },
      config,
    },
  },
} satisfies CodegenConfig;
