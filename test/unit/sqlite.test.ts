import { SqliteStores } from '../support/sqlite-stores.ts';
import { storeConformance } from '../support/store-conformance.ts';

storeConformance('SQLite', new SqliteStores());
